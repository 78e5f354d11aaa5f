"""How the model is asked which of two answers is better; the same words in training exercises and in judging.

The words are data: `judging/<language>.toml`, one file a language, or a file of the user's with the same keys. The
verdict is a single letter, so that its likelihood is read from one position and nothing is generated. What all
judgements have in common stands first, then the question, then the answers: common beginnings are computed once. The
words are few, since a small model must hold them and both answers in 256 tokens. The paper (section on
self-preferencing) does not publish its wording: these are ours.
"""

import functools
import tomllib
from importlib import resources
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from seallm.base.errors import ModelError, RecipeError
from seallm.base.records import Message
from seallm.model.chat_format import ChatFormat

ENGLISH = "en"
PLACES = ("criteria", "question", "a", "b")


class JudgeTemplate(BaseModel):
    """The words of a judging prompt in one language."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    criteria: str
    """What makes an answer the better one; the recipe may say otherwise."""
    question: str
    """The whole prompt, with {criteria}, {question}, {a} and {b} where they belong."""
    verdicts: tuple[str, str]
    """What the model replies where the first or the second answer is the better one."""
    reason: str
    """What it is asked when it shall say why."""

    @model_validator(mode="after")
    def _has_all_places(self) -> "JudgeTemplate":
        try:
            self.question.format(**dict.fromkeys(PLACES, ""))
        except (KeyError, IndexError, ValueError) as error:
            raise ValueError(f"`question` has a place {error} that nothing fills; write {{{{ for a brace") from None
        missing = [place for place in PLACES if f"{{{place}}}" not in self.question]
        if missing:
            raise ValueError(f"`question` lacks {{{missing[0]}}}")
        return self


@functools.cache
def load_template(language: str) -> JudgeTemplate:
    """The shipped template in a language; English where there is none."""
    folder = resources.files("seallm") / "model" / "judging"
    path = folder / f"{language}.toml"
    return read_template(Path(str(path if path.is_file() else folder / f"{ENGLISH}.toml")))


def read_template(path: Path) -> JudgeTemplate:
    """A template of the user's own.

    Raises:
        RecipeError: the file is malformed.
    """
    try:
        return JudgeTemplate.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (ValidationError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        found = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise RecipeError(
            f"{path} is not a judging template: {found}. It needs criteria, question, verdicts, reason"
        ) from None


def judge_messages(
    question: str, answer_a: str, answer_b: str, criteria: str, template: JudgeTemplate | None = None
) -> tuple[Message, ...]:
    """The judging prompt: one user turn that asks for a verdict; in English where no template is given."""
    words = (template or load_template(ENGLISH)).question.strip()
    text = words.format(criteria=criteria, question=question.strip(), a=answer_a.strip(), b=answer_b.strip())
    return (Message("user", text),)


def judging_exercise(
    question: str, better: str, worse: str, criteria: str, *, better_first: bool
) -> tuple[Message, ...]:
    """A judging prompt with its right verdict, for supervised fine-tuning."""
    first, second = (better, worse) if better_first else (worse, better)
    verdict = load_template(ENGLISH).verdicts[0 if better_first else 1]
    return (*judge_messages(question, first, second, criteria), Message("assistant", verdict))


def verdict_ids(chat_format: ChatFormat, template: JudgeTemplate) -> tuple[int, int]:
    """The tokens that decide a verdict: the first of each, as they stand after the judging prompt in training.

    Raises:
        ModelError: both verdicts begin with the same token.
    """
    first, second = (chat_format.answer_ids(verdict)[0] for verdict in template.verdicts)
    if first == second:
        raise ModelError(
            f"The verdicts {template.verdicts[0]!r} and {template.verdicts[1]!r} begin with the same token of this "
            "tokenizer; take words that differ in their first letter"
        )
    return first, second
