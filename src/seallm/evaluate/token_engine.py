"""Requests of lm-evaluation-harness in, token ids to compute out, and back: our engines as `LM` classes of its.

On plain prompts ids are the ones `HFLM` would use, so log-likelihoods are equal up to rounding.

Two differences are meant. Text never becomes a control token: a `</s>` in a benchmark's text stays four characters.
And a chat prompt is encoded by the chat format, not by parsing a rendered string; the newline of the assistant's header
belongs to the prompt, where `HFLM` counts it into every choice.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.api.model import TemplateLM
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window
from transformers import PreTrainedTokenizerFast

from seallm.base.errors import DataError, RecipeError
from seallm.base.files import fingerprint
from seallm.base.records import Message
from seallm.base.sampling import SamplingSettings
from seallm.model.chat_format import ChatFormat, document_start_id
from seallm.model.plain_text import PlainText

SCORED_AT_ONCE = 1_024  # pairs between two steps of the progress bar; neighbours share prefixes
GENERATED_AT_ONCE = 256
DEFAULT_NEW_TOKENS = 256
Pair = tuple[list[int], list[int]]


class ChatPrompt(str):
    """A rendered chat prompt that carries its ids, so that no string has to be parsed for control tokens."""

    ids: list[int]

    def __new__(cls, text: str, ids: list[int]) -> "ChatPrompt":
        """A string with ids."""
        prompt = super().__new__(cls, text)
        prompt.ids = ids
        return prompt


class TokenEngine(TemplateLM, ABC):  # type: ignore[misc]
    """A model whose tokens we see, behind the interface of lm-evaluation-harness; what computes it is left open.

    Args:
        tokenizer: the model's; needs the chat marker only where chat prompts are asked for.
        seed: for tasks that sample.
        advance: called with a number of finished requests.

    Attributes:
        cut_prompts: prompts that were longer than the model's positions allow; their beginning was cut off.
        kept_characters: of each of these, how much of its end was kept.
        cut_questions: prompts that lost a part of the question itself.
        unanswered: prompts whose questions got no answer: none here.
        given_up: questions that could be asked again: none here.
        language: of the task that is asked.
    """

    unanswered: frozenset[str] = frozenset()
    given_up = 0

    def __init__(
        self, tokenizer: PreTrainedTokenizerFast, seed: int = 0, advance: Callable[[int], None] = lambda _: None
    ) -> None:
        super().__init__()
        self.tokenizer, self.seed, self.advance = tokenizer, seed, advance
        self.cut_prompts = self.cut_questions = 0
        self.kept_characters: dict[str, int] = {}
        self.language = ""
        self.plain = PlainText(tokenizer)
        self._start: list[int] = list(tokenizer("").input_ids)  # what the tokenizer itself puts before a text
        self._chat: ChatFormat | None = None

    @property
    def eot_token_id(self) -> int:
        """The end-of-sequence id."""
        return int(self.tokenizer.eos_token_id)

    @property
    def prefix_token_id(self) -> int:
        """What an empty context becomes."""
        return document_start_id(self.tokenizer)

    @property
    @abstractmethod
    def max_length(self) -> int:
        """Longest sequence the model has positions for, in tokens."""

    @abstractmethod
    def score_ids(self, pairs: Sequence[Pair]) -> list[tuple[float, bool]]:
        """(log-likelihood, is it the greedy continuation) of each (prefix, continuation)."""

    @abstractmethod
    def write_ids(
        self, prompts: Sequence[list[int]], settings: SamplingSettings, stops: Sequence[str], first: int
    ) -> list[list[int]]:
        """Ids of an answer to each prompt, perhaps beyond a stop string; `first` is the number of the first prompt."""

    @property
    def tokenizer_name(self) -> str:
        """A name that changes with the vocabulary and the chat template."""
        return fingerprint([self.tokenizer.get_vocab(), self.tokenizer.chat_template])[:16]

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **_: object) -> list[int]:
        """Ids of a text; those that the tokenizer puts in front are left out where `add_special_tokens` is False."""
        return ([] if add_special_tokens is False else self._start) + self.plain.encode(string)

    def apply_chat_template(self, chat_history: Sequence[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """A prompt in the chat format; without `add_generation_prompt` the last message is the answer's beginning."""
        self._chat = self._chat or ChatFormat(self.tokenizer)
        messages = [Message(m["role"], m["content"]) for m in chat_history]  # type: ignore[arg-type]
        begun = [] if add_generation_prompt else [messages.pop()]
        ids = self._chat.prompt_ids(messages)
        for message in begun:
            ids += self.plain.encode_inner([message.content])[0]
        text = self.tokenizer.apply_chat_template(
            [{"role": m.role, "content": m.content} for m in messages], tokenize=False, add_generation_prompt=True
        )
        return ChatPrompt(text + "".join(m.content for m in begun), ids)

    def _encode_pair(self, context: str, continuation: str) -> Pair:
        if isinstance(context, ChatPrompt):
            return context.ids, self.plain.encode_inner([continuation])[0]
        pair: Pair = super()._encode_pair(context, continuation)
        return pair

    def loglikelihood(self, requests: Sequence[Instance], disable_tqdm: bool = True) -> list[tuple[float, bool]]:
        """(log-likelihood, is it the greedy continuation) of each (context, continuation), without bars."""
        found: list[tuple[float, bool]] = super().loglikelihood(requests, disable_tqdm=True)
        return found

    def _loglikelihood_tokens(
        self, requests: Sequence[tuple[tuple[str, str], list[int], list[int]]], **_: object
    ) -> list[tuple[float, bool]]:
        parts: list[list[Pair]] = []
        for texts, prefix, continuation in requests:
            if not continuation:
                raise DataError(
                    f"The choice {texts[1]!r} has no tokens of its own after its prompt; it cannot be scored"
                )
            room = self.max_length + 1 - len(continuation)
            fitted = self._fitted(texts[0], prefix, max(room, 1))
            parts.append([(fitted, continuation)] if room > 0 else self._windows(fitted[0], continuation))
        return self._score_together(parts)

    def _windows(self, before: int, ids: list[int]) -> list[Pair]:
        """Ids in windows that the model has positions for; each id is predicted once, the first from the one before."""
        windows = get_rolling_token_windows(ids, before, self.max_length, context_len=1)
        return [make_disjoint_window(window) for window in windows]

    def _score_together(self, parts: Sequence[Sequence[Pair]]) -> list[tuple[float, bool]]:
        """Scores of texts that are scored in parts."""
        scores = iter(self._score([pair for own in parts for pair in own]))
        found = []
        for own in parts:
            values, greedy = zip(*(next(scores) for _ in own), strict=True) if own else ((), ())
            found.append((sum(values, 0.0), all(greedy)))
        return found

    def _score(self, pairs: Sequence[Pair]) -> list[tuple[float, bool]]:
        scores = []
        for start in range(0, len(pairs), SCORED_AT_ONCE):
            part = pairs[start : start + SCORED_AT_ONCE]
            scores += self.score_ids(part)
            self.advance(len(part))
        return scores

    def loglikelihood_rolling(self, requests: Sequence[Instance], disable_tqdm: bool = False) -> list[float]:
        """Log-likelihoods of whole texts, for the harness."""
        return self.text_log_likelihoods([request.args[0] for request in requests])

    def text_log_likelihoods(self, texts: Sequence[str]) -> list[float]:
        """Log-likelihood of each text, every token predicted once; the first follows the document's start."""
        parts = [self._windows(self.prefix_token_id, self.tok_encode(text, add_special_tokens=False)) for text in texts]
        return [value for value, _ in self._score_together(parts)]

    def generate_until(self, requests: Sequence[Instance], disable_tqdm: bool = False) -> list[str]:
        """Answers up to a stop string, the end of the turn or the longest length; greedy unless the task samples.

        Raises:
            RecipeError: a task asks for a generation setting that this engine does not have.
        """
        answers = [""] * len(requests)
        numbered = sorted(enumerate(requests), key=lambda item: str(item[1].args[1]))
        for _, group in groupby(numbered, key=lambda item: str(item[1].args[1])):
            members = list(group)
            settings, stops = generation_settings(members[0][1].args[1], self.seed, self.max_length // 2)
            prompts = [self._prompt_ids(request.args[0], settings.max_new_tokens) for _, request in members]
            for (number, _), text in zip(members, self._generate(prompts, settings, stops), strict=True):
                answers[number] = text
        return answers

    def _generate(
        self, prompts: Sequence[list[int]], settings: SamplingSettings, stops: tuple[str, ...]
    ) -> Iterator[str]:
        for start in range(0, len(prompts), GENERATED_AT_ONCE):
            part = prompts[start : start + GENERATED_AT_ONCE]
            found = self.write_ids(part, settings, stops, start)
            self.advance(len(part))
            yield from (cut_at_stop(self.plain.decode(ids), stops) for ids in found)

    def _prompt_ids(self, context: str, max_new_tokens: int) -> list[int]:
        ids = context.ids if isinstance(context, ChatPrompt) else self.tok_encode(context)
        room = self.max_length - max_new_tokens
        return self._fitted(context, ids, room)

    def _fitted(self, prompt: str, ids: list[int], room: int) -> list[int]:
        """The end of a prompt that there is room for; what is cut is counted."""
        if len(ids) > room:
            self.cut_prompts += 1
            self.kept_characters[prompt] = len(self.plain.decode(ids[-room:]))
        return ids[-room:]


def generation_settings(
    wanted: dict[str, Any], seed: int, most_tokens: int
) -> tuple[SamplingSettings, tuple[str, ...]]:
    """Settings and stop strings from the `generation_kwargs` of a task file.

    Args:
        wanted: the keyword arguments.
        seed: of answers that are drawn.
        most_tokens: longest answer, whatever the task wants: its prompt needs room, too.

    Raises:
        RecipeError: a task asks for a setting that our engines do not have.
    """
    known = {"until", "do_sample", "temperature", "top_p", "max_gen_toks"}
    if unknown := set(wanted) - known:
        raise RecipeError(
            f"generation_kwargs has {', '.join(sorted(unknown))}; this engine knows {', '.join(sorted(known))}"
        )
    until = wanted.get("until") or []
    stops = tuple(stop for stop in ([until] if isinstance(until, str) else until) if stop)
    temperature = float(wanted.get("temperature", 1.0)) if wanted.get("do_sample") else 0.0
    max_new_tokens = min(most_tokens, int(wanted.get("max_gen_toks", DEFAULT_NEW_TOKENS)))
    return SamplingSettings(max_new_tokens, temperature, float(wanted.get("top_p", 1.0)), seed), stops


def cut_at_stop(text: str, stops: Sequence[str]) -> str:
    """A text up to the first of any stop string."""
    for stop in stops:
        text = text.split(stop, 1)[0]
    return text
