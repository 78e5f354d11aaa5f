"""Texts in, the same texts with people's addresses and numbers replaced by typed placeholders out.

E-mail addresses, telephone numbers, payment cards, national identity numbers and public IP addresses become `<email>`,
`<phone>`, `<card>`, `<id>` and `<ip>`: the sentence stays a sentence, and a model learns that something stood there.
One compiled pass finds candidates in Arrow's buffers; only those, with their surroundings, are looked at in Python.
Masking twice changes nothing.
"""

import re
from bisect import bisect
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from seallm.base.errors import RecipeError
from seallm.base.kernels import string_buffers
from seallm.corpus.personal_candidates import find_candidates
from seallm.corpus.personal_keywords import REACH_BYTES
from seallm.corpus.personal_rules import TYPES, judge_candidate, to_ascii

PLACEHOLDER = "<{type}>"
# how tokenizers spell control tokens: "<|im_end|>", "<s>", "</s>", "[INST]", "<<SYS>>", "<start_of_turn>"
_CONTROL = re.compile(
    r"<\||\|>|<<|>>|</|<(?:s|unk|pad|bos|eos|mask|cls|sep|bot|eot)>|_of_|extra_id|\[/?(?:INST|CLS|SEP|PAD|MASK|UNK|BOS|EOS)]",
    re.IGNORECASE,
)
_RIGHT_BYTES = 32


class MaskedTexts(NamedTuple):
    """Texts without personal data, and how much there was.

    Attributes:
        texts: n strings; the very array that came in where nothing was found.
        counts: (n, types) int32, in the order of `TYPES`.
    """

    texts: pa.Array
    counts: npt.NDArray[np.int32]


def check_placeholder(form: str) -> tuple[str, ...]:
    """The placeholders of all types.

    A placeholder is plain text: a tokenizer must never read it as a control token, and it must not look like personal
    data itself, or masking twice would not be the same as masking once.

    Args:
        form: such as `<{type}>` or `[{type}]`.

    Raises:
        RecipeError: it does not name the type, looks like a control token, or holds digits, colons or an `@`.
    """
    if "{type}" not in form or re.search(r"[\d@＠:+/]|[{}]", form.replace("{type}", "")):
        raise RecipeError(
            f"personal_data placeholder {form!r} must hold {{type}} and no digits, colons, @, +, / or further braces, "
            f"such as {PLACEHOLDER!r}"
        )
    placeholders = tuple(form.replace("{type}", name) for name in TYPES)
    for placeholder in placeholders:
        if placeholder in TYPES or _CONTROL.search(placeholder):
            raise RecipeError(
                f"personal_data placeholder {placeholder!r} could be taken for a control token or a word; "
                f"write it such as {PLACEHOLDER!r}"
            )
    return placeholders


def mask_personal(texts: pa.Array, languages: npt.NDArray[np.str_], form: str = PLACEHOLDER) -> MaskedTexts:
    """Replace personal data by placeholders.

    Args:
        texts: n strings (large_string).
        languages: (n,) language codes; they decide which national numbers are expected.
        form: what a placeholder looks like, `{type}` standing for its type.

    Raises:
        DataError: a text is null or not valid UTF-8.
        RecipeError: the form cannot be used.
    """
    placeholders = [placeholder.encode() for placeholder in check_placeholder(form)]
    counts = np.zeros((len(texts), len(TYPES)), np.int32)
    # a number can be judged otherwise once its neighbour is gone, so masked texts are read again; every round takes
    # digits or an @ away, so this ends, as a rule after one round more
    rows, current = np.arange(len(texts)), texts
    masked: dict[int, str] = {}
    while len(rows):
        changed = _mask_once(current, languages[rows], placeholders, counts, rows)
        masked.update(changed)
        rows = np.array(sorted(changed), np.int64)
        current = pa.array([changed[int(row)] for row in rows], pa.large_string())
    if not masked:
        return MaskedTexts(texts, counts)
    touched = np.zeros(len(texts), np.bool_)
    order = sorted(masked)
    touched[order] = True
    values = pa.array([masked[row] for row in order], texts.type)
    return MaskedTexts(pc.replace_with_mask(texts, pa.array(touched), values), counts)


def _mask_once(
    texts: pa.Array,
    languages: npt.NDArray[np.str_],
    placeholders: Sequence[bytes],
    counts: npt.NDArray[np.int32],
    rows: npt.NDArray[np.int64],
) -> dict[int, str]:
    """Those of the texts that change, by their row."""
    candidates = find_candidates(texts)
    if not len(candidates):
        return {}
    offsets, data = string_buffers(texts)
    changed = {}
    starts = np.flatnonzero(np.diff(candidates[:, 0], prepend=-1))
    for members in np.split(candidates, starts[1:]):
        number = int(members[0, 0])
        content = data[offsets[number] : offsets[number + 1]].tobytes()
        spans = _spans(content, members, str(languages[number]))
        if spans:
            row = int(rows[number])
            changed[row] = _replace(content, spans, placeholders).decode()
            for _, _, kind in spans:
                counts[row, kind] += 1
    return changed


def _spans(content: bytes, candidates: npt.NDArray[np.int64], language: str) -> list[tuple[int, int, int]]:
    """First byte, byte after the last and type of all personal data of a text, in order and apart."""
    found = []
    for _, first, last, kind in candidates.tolist():
        left = content[max(0, first - REACH_BYTES) : first].decode(errors="ignore")
        raw = content[first:last].decode()
        right = to_ascii(content[last : last + _RIGHT_BYTES].decode(errors="ignore"))
        places = _byte_places(raw)
        for start, end, type_ in judge_candidate(kind, to_ascii(left), to_ascii(raw), right, language):
            begin = first + places[start] if start >= 0 else first - len(left[start:].encode())
            tail = max(0, end - len(raw))
            found.append((begin, first + places[end - tail] + len(right[:tail].encode()), type_))
    return _apart(found)


def _byte_places(text: str) -> Sequence[int]:
    """The byte at which each character starts, and that behind the last."""
    return range(len(text) + 1) if text.isascii() else [0, *accumulate(len(c.encode()) for c in text)]


def _apart(found: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """Of two spans that overlap the longer one, in order: an address holds digits of its own."""
    chosen: list[tuple[int, int, int]] = []
    for span in sorted(found, key=lambda s: (s[0] - s[1], s[0])):
        place = bisect(chosen, span)
        neighbours = chosen[max(0, place - 1) : place + 1]
        if all(span[1] <= other[0] or other[1] <= span[0] for other in neighbours):
            chosen.insert(place, span)
    return chosen


def _replace(content: bytes, spans: Sequence[tuple[int, int, int]], placeholders: Sequence[bytes]) -> bytes:
    parts, position = [], 0
    for first, last, kind in spans:
        parts += [content[position:first], placeholders[kind]]
        position = last
    return b"".join([*parts, content[position:]])
