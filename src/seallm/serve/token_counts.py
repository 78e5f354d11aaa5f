"""Texts to what they cost: tokens of the served model, and of its base, for the very same text."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from seallm.base.records import Message
from seallm.model.checkpoints import load_tokenizer
from seallm.model.places import ModelPlace
from seallm.model.plain_text import PlainText
from seallm.model.prompt_format import PromptFormat
from seallm.serve.replies import TokenCount
from seallm.serve.tokens import token_text


def base_tokenizer(served: ModelPlace, named: Path | None) -> tuple[PlainText, str] | None:
    """The tokenizer of the base model: one that is named, else that of the run's first stage; None: it is not known.

    Raises:
        ModelError: the named folder has no tokenizer.
    """
    run = served.folder.parent.parent  # of runs/name/06-sft/model
    own = run / "01-base" / "model"
    folder = named or (own if own != served.folder and (own / "tokenizer.json").is_file() else None)
    if folder is None:
        return None
    name = named.name if named else f"{run.name}/base"
    return PlainText(load_tokenizer(folder)), name


def text_counts(
    prompt_format: PromptFormat,
    base: tuple[PlainText, str] | None,
    texts: Mapping[str | None, str],
    *,
    with_ids: bool,
) -> list[TokenCount]:
    """What each text costs, by language.

    Raises:
        DataError: a text is not Unicode.
    """
    found = []
    for language, text in texts.items():
        ids = prompt_format.plain.encode(text)
        num_base = len(base[0].encode(text)) if base else None
        found.append(_count(prompt_format.plain, language, text, ids, num_base, with_ids=with_ids))
    return found


def conversation_counts(
    prompt_format: PromptFormat, base: tuple[PlainText, str] | None, messages: Sequence[Message], *, with_ids: bool
) -> list[TokenCount]:
    """What a conversation costs; in the base's tokenizer with as many tokens for headers and ends of turns.

    Raises:
        DataError: a content is not Unicode.
    """
    ids = prompt_format.prompt_ids(messages)
    contents = [message.content.strip() for message in messages]
    num_base = None
    if base:
        num_contents = sum(map(len, prompt_format.plain.encode_inner(contents)))
        num_base = sum(map(len, base[0].encode_inner(contents))) + len(ids) - num_contents
    return [_count(prompt_format.plain, None, "".join(contents), ids, num_base, with_ids=with_ids)]


def _count(
    plain: PlainText, language: str | None, text: str, ids: list[int], num_base: int | None, *, with_ids: bool
) -> TokenCount:
    return TokenCount(
        language=language,
        characters=len(text),
        bytes=len(text.encode()),
        tokens=len(ids),
        base_tokens=num_base,
        tokens_per_base_token=round(len(ids) / num_base, 4) if num_base else None,
        ids=ids if with_ids else None,
        pieces=[token_text(plain, token_id) for token_id in ids] if with_ids else None,
    )
