r"""The pre-tokenizer: what it forbids, how it is repaired, and the pieces it leaves for merges.

Byte-level tokenizers cut a text by a regex before any merge. Where that regex knows letters (`\\p{L}`) but not
combining marks (`\\p{M}`), every mark ends a word: Burmese, Khmer, Lao and Thai are cut into pieces of one or two
letters, and no number of new tokens can help. The repair reads marks as letters: `\\p{L}` becomes `[\\p{L}\\p{M}]`
everywhere. On a text without marks the two regexes match the same, so its ids stay as they are.
"""

import copy
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tokenizers import Tokenizer

from seallm.vocab.base_tokenizer import BpeTokenizer, pre_tokenizer_steps
from seallm.vocab.scripts import is_mark

# what ByteLevel cuts by where its `use_regex` is on (GPT-2's pattern)
GPT2_PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_LETTERS, _MARKS = r"\p{L}", r"\p{M}"


def admit_marks(pattern: str) -> str:
    r"""Read marks as letters: every `\\p{L}` also matches, or where negated also excludes, `\\p{M}`."""
    parts: list[str] = []
    in_class = False
    # a backslash pair is one unit, so that an escaped bracket opens no class
    for unit in re.findall(r"\\[pP]\{[^}]*\}|\\.|.", pattern, flags=re.DOTALL):
        if unit in "[]" and len(unit) == 1:
            in_class = unit == "["
        parts.append(unit if unit != _LETTERS else _LETTERS + _MARKS if in_class else f"[{_LETTERS}{_MARKS}]")
    return "".join(parts)


def is_letters_only(pattern: str) -> bool:
    """True where the regex knows letters but no combining marks."""
    return _LETTERS in pattern and _MARKS not in pattern


def explicit_steps(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The pre-tokenizer's steps, with the regex that ByteLevel hides written out as a step of its own."""
    steps: list[dict[str, Any]] = []
    for step in pre_tokenizer_steps(document):
        if step["type"] == "ByteLevel" and step.get("use_regex", True):
            pattern = {"type": "Split", "pattern": {"Regex": GPT2_PATTERN}, "behavior": "Isolated", "invert": False}
            steps += [pattern, {**step, "use_regex": False}]
        else:
            steps.append(step)
    return steps


def letters_only_patterns(document: Mapping[str, Any]) -> list[str]:
    """The regexes that end a word at every combining mark."""
    return [
        step["pattern"]["Regex"]
        for step in explicit_steps(document)
        if step["type"] == "Split" and is_letters_only(step["pattern"].get("Regex", ""))
    ]


def repair(document: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of a `tokenizer.json` whose regexes admit marks; equal to the original where they already do."""
    repaired = copy.deepcopy(dict(document))
    if not letters_only_patterns(document):
        return repaired
    steps = copy.deepcopy(explicit_steps(document))
    for step in steps:
        pattern = step.get("pattern", {}).get("Regex", "")
        if step["type"] == "Split" and is_letters_only(pattern):
            step["pattern"]["Regex"] = admit_marks(pattern)
    repaired["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": steps}
    return repaired


def has_marks(texts: Iterable[str]) -> bool:
    """True where any text holds a combining mark."""
    return any(is_mark(character) for character in set().union(*map(set, texts)))


class PreTokenizer:
    """Cuts text into the pieces that merges stay within, each in plain characters (a space may be written "▁")."""

    def __init__(self, tokenizer: BpeTokenizer) -> None:
        # the same steps without the last one, which only rewrites bytes as letters
        steps = [step for step in explicit_steps(tokenizer.document) if step["type"] != "ByteLevel"]
        prefix = [s for s in pre_tokenizer_steps(tokenizer.document) if s["type"] == "ByteLevel"]
        self._adds_space = bool(prefix) and bool(prefix[-1].get("add_prefix_space"))
        empty = {"type": "BPE", "vocab": {}, "merges": []}
        pre_tokenizer = {"type": "Sequence", "pretokenizers": steps} if steps else None
        shell = {**tokenizer.document, "model": empty, "added_tokens": [], "pre_tokenizer": pre_tokenizer}
        parts = Tokenizer.from_str(json.dumps({**shell, "post_processor": None}))
        self._normalizer, self._pre_tokenizer = parts.normalizer, parts.pre_tokenizer

    def pieces(self, text: str) -> list[str]:
        """The pre-tokens of one text, in order."""
        normal = self._normalizer.normalize_str(text) if self._normalizer else text
        if self._adds_space and normal and not normal[0].isspace():
            normal = " " + normal
        if self._pre_tokenizer is None:
            return [normal] if normal else []
        return [piece for piece, _ in self._pre_tokenizer.pre_tokenize_str(normal)]


def pieces_relative(tokenizer: BpeTokenizer, sentences: Mapping[str, Sequence[str]]) -> dict[str, float] | None:
    """Pre-tokens per language relative to the first: no tokenizer with this pre-tokenizer can need fewer tokens.

    None where nothing is cut before merges (SentencePiece).

    Args:
        tokenizer: what cuts.
        sentences: the same sentences in every language.
    """
    if tokenizer.kind == "sentencepiece":
        return None
    cut = PreTokenizer(tokenizer)
    pieces = {code: sum(len(cut.pieces(s)) for s in lines) for code, lines in sentences.items()}
    unit = next(iter(pieces.values()))
    return {code: round(count / unit, 4) for code, count in pieces.items()}
