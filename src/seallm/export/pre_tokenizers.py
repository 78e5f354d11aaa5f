r"""A byte-level tokenizer in; the pre-tokenizer of llama.cpp that cuts most nearly as it does out.

A GGUF file names its pre-tokenizer, and llama.cpp has a fixed list of them. Which fits is found by trial: the same
vocabulary and merges behind each regex of the list, on texts in all languages, and the fewest tokens that differ. A
repaired regex (marks read as letters) has one exact partner, `qwen35`, that of Qwen's with marks. To the repaired regex
of GPT-2's family it is near: it joins line ends that GPT-2's cuts apart. Leaving the merge of two line ends out of the
file mends most of that, and is tried too.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tokenizers import Tokenizer

from seallm.vocab.base_tokenizer import BpeTokenizer, byte_alphabet, load_tokenizer
from seallm.vocab.pretokenizer import GPT2_PATTERN

_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_AFTER_WORDS = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_FEW = 8  # of so many texts one is tried first
_LINE_END = byte_alphabet()[ord("\n")]
_CASED = (
    r"[^\r\n\p{L}\p{N}]?((?=[LETTERS])([^a-z]))*((?=[LETTERS])([^A-Z]))+ENDS"
    r"|[^\r\n\p{L}\p{N}]?((?=[LETTERS])([^a-z]))+((?=[LETTERS])([^A-Z]))*ENDS"
)


def _cased(letters: str, ends: str, numbers: str) -> str:
    """Words that are also cut where a capital follows a small letter."""
    words = _CASED.replace("LETTERS", letters).replace("ENDS", ends)
    return words + rf"|{numbers}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"


@dataclass(frozen=True)
class PreTokenizer:
    """One of llama.cpp's.

    Attributes:
        name: as the file says it.
        patterns: texts are cut by the first, the pieces by the next.
        ignores_merges: a whole piece that is in the vocabulary is taken as it is.
    """

    name: str
    patterns: tuple[str, ...]
    ignores_merges: bool = False


KNOWN = (
    PreTokenizer("gpt-2", (GPT2_PATTERN,)),
    PreTokenizer("smollm", (r"\p{N}", GPT2_PATTERN)),
    PreTokenizer("qwen2", (_CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}" + _AFTER_WORDS,)),
    PreTokenizer(
        "qwen35",
        (
            _CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}"
            r"| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        ),
    ),
    PreTokenizer("llama-bpe", (_CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}" + _AFTER_WORDS,), True),
    PreTokenizer("gpt-4o", (_cased(r"\p{L}", _CONTRACTIONS + "?", r"\p{N}{1,3}"),)),
    PreTokenizer("tekken", (_cased(r"\p{L}", "", r"\p{N}"),), True),
    PreTokenizer("granite-embed-multi-97m", (_cased(r"\p{L}\p{M}", _CONTRACTIONS + "?", r"\p{N}{1,3}"),), True),
    PreTokenizer("superbpe", (r"\p{N}+", r"\d{1,3}(?=(?:\d{3})*(?!\d))")),
)


@dataclass(frozen=True)
class Fit:
    """The nearest pre-tokenizer.

    Attributes:
        name: of llama.cpp's list.
        left_out: merges that the file must not hold.
        different_share: of all tokens of the texts, those that llama.cpp would cut otherwise.
    """

    name: str
    left_out: frozenset[tuple[str, str]]
    different_share: float


def fit(tokenizer: BpeTokenizer, texts: Sequence[str]) -> Fit:
    """Find the pre-tokenizer that gives most nearly the ids of a tokenizer; the first of the list among equals.

    Args:
        tokenizer: a byte-level one.
        texts: in all languages, with line ends, numbers and code among them.
    """
    wanted = encode_all(tokenizer.tokenizer, texts)
    fits: list[Fit] = []
    for known, left_out in _variants(tokenizer):
        theirs = as_llama_cpp(tokenizer.document, known, left_out)
        share = different_share(tokenizer, wanted[::_FEW], encode_all(theirs, texts[::_FEW]))
        if share <= min((each.different_share for each in fits), default=1.0):
            share = different_share(tokenizer, wanted, encode_all(theirs, texts))
        fits.append(Fit(known.name, left_out, share))
        if share == 0:
            break
    return min(fits, key=lambda each: each.different_share)


def _variants(tokenizer: BpeTokenizer) -> Iterator[tuple[PreTokenizer, frozenset[tuple[str, str]]]]:
    for known in KNOWN:
        yield known, frozenset()
    line_ends = frozenset(pair for pair in tokenizer.merges if pair == (_LINE_END, _LINE_END))
    if line_ends:
        yield from ((known, line_ends) for known in KNOWN)


def by_name(name: str) -> PreTokenizer | None:
    """The pre-tokenizer of a name; None where it is none that is known here."""
    return next((known for known in KNOWN if known.name == name), None)


def as_llama_cpp(
    document: Mapping[str, Any], known: PreTokenizer, left_out: frozenset[tuple[str, str]] = frozenset()
) -> Tokenizer:
    """A tokenizer with the vocabulary and merges of a `tokenizer.json`, cutting as llama.cpp does."""
    steps = [
        {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
        for pattern in known.patterns
    ]
    steps.append({"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False})
    model = {**document["model"], "ignore_merges": known.ignores_merges}
    if left_out:
        model["merges"] = [m for m in model["merges"] if _pair(m) not in left_out]
    changed = {
        **document,
        "model": model,
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": steps},
        "post_processor": None,
    }
    return load_tokenizer(changed, known.name)


def _pair(merge: str | list[str]) -> tuple[str, str]:
    left, right = merge.split(" ", 1) if isinstance(merge, str) else merge
    return left, right


def encode_all(tokenizer: Tokenizer, texts: Sequence[str]) -> list[list[int]]:
    """Ids of texts, without those that a template adds."""
    return [encoding.ids for encoding in tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]


def different_share(tokenizer: BpeTokenizer, wanted: Sequence[Sequence[int]], found: Sequence[Sequence[int]]) -> float:
    """The share of wanted tokens that are not found at their place in the text, over all texts."""
    sizes = token_bytes(tokenizer)
    total = sum(map(len, wanted))
    lost = sum(
        0 if list(one) == list(other) else len(places(one, sizes) - places(other, sizes))
        for one, other in zip(wanted, found, strict=True)
    )
    return lost / max(total, 1)


def token_bytes(tokenizer: BpeTokenizer) -> dict[int, int]:
    """Bytes of text that each id stands for."""
    added = {token_id: len(token.encode()) for token, token_id in tokenizer.added_tokens.items()}
    special = tokenizer.unmergeable
    pieces = {
        token_id: 1 if token in special else len(tokenizer.bytes_of(token))
        for token, token_id in tokenizer.vocabulary.items()
        if token not in tokenizer.added_tokens
    }
    return pieces | added


def places(ids: Sequence[int], sizes: Mapping[int, int]) -> set[tuple[int, int]]:
    """(first byte, id) of each token."""
    found, at = set(), 0
    for token_id in ids:
        found.add((at, token_id))
        at += sizes.get(token_id, 0)
    return found
