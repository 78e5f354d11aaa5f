"""Texts and what was found of them as wholes in, their shares of languages by bytes over their lines out.

A page of two languages gets one label and a low score. Here its lines are identified one by one, neighbours joined
until they are long enough to be told, and the bytes of each language are added up. The language with the most bytes is
the page's own: a Malay page with an English menu stays Malay. A page of which a quarter or more is in other languages
is called mixed. Only texts are looked at of which the identifier was unsure or that two like languages contest, which
most pages are not.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from seallm.base.kernels import kernel, string_buffers
from seallm.corpus.identify import CHINESE, JAPANESE, Identification, Identifier
from seallm.corpus.ngrams import make_minhash
from seallm.corpus.statistics import measure
from seallm.corpus.word_lists import WordLists

SURE_SCORE = 0.85  # whole texts that score higher are taken to be of one language
BLOCK_BYTES = 100  # lines are joined until they have as many: lid.176 is at a loss with three words
MAX_BLOCKS = 64  # of a text; in a long one the blocks are longer
SAMPLED_BLOCKS = 12  # of a text whose score is sure and whose language is contested
MIN_BLOCK_SCORE = 0.5  # blocks that score lower (lists of names, code) count for no language
MIN_MIXED_SHARE = 0.25
_LINE_END = 0x0A


@dataclass(frozen=True)
class LineLanguages:
    """One row a text.

    Attributes:
        identification: with the language of most bytes where lines were looked at; else as it was.
        shares: of each text looked at, by its row: language to share of bytes, the largest first; they sum to 1.
        mixed: (n,) share of the bytes that is not in the text's language; 0 where no lines were looked at.
    """

    identification: Identification
    shares: Mapping[int, Mapping[str, float]]
    mixed: npt.NDArray[np.float32]

    def is_mixed(self) -> npt.NDArray[np.bool_]:
        """Which texts are of several languages: (n,)."""
        return np.asarray(self.mixed >= MIN_MIXED_SHARE, np.bool_)


def line_languages(
    texts: pa.Array | pa.ChunkedArray, identification: Identification, identifier: Identifier, words: WordLists
) -> LineLanguages:
    """Look at the lines of the texts whose score is below SURE_SCORE or whose language two contest.

    Args:
        texts: n strings.
        identification: of the whole texts.
        identifier: the one that made it.
        words: its `word_lists()`.

    Raises:
        DataError: a text is null or not valid UTF-8.
    """
    codes, scores = identification.languages.copy(), identification.scores.copy()
    mixed, shares = np.zeros(len(texts), np.float32), dict[int, Mapping[str, float]]()
    rows = np.flatnonzero((scores < SURE_SCORE) | identification.contested)
    blocks, owners = cut_blocks(texts.take(pa.array(rows)))
    sampled = np.flatnonzero(_is_sampled(owners, scores[rows] >= SURE_SCORE))
    blocks, owners = blocks.take(pa.array(sampled)), owners[sampled]
    found = identifier.identify(blocks, measure(blocks, words, make_minhash(1, 1)))
    sizes = pc.binary_length(blocks).to_numpy()
    is_told = np.isin(found.languages, list(identifier.by_script().values())) | (found.scores >= MIN_BLOCK_SCORE)
    relatives = _relatives(identifier)
    starts = np.searchsorted(owners, np.arange(len(rows) + 1))
    for row, first, last in zip(rows.tolist(), starts[:-1], starts[1:], strict=True):
        own = np.arange(first, last)[is_told[first:last]]
        if last - first < 2 or not len(own):
            continue
        shares[row] = _add_up(found.languages[own], sizes[own], str(codes[row]), relatives)
        best, before = next(iter(shares[row])), str(codes[row])
        is_open = scores[row] < SURE_SCORE or any({best, before} == set(pair) for pair in identifier.second_look.pairs)
        mixed[row] = 1 - shares[row].get(best if is_open else before, 0.0)
        if best != before and is_open:  # code and names among a sure text's lines do not outweigh it
            of_best = found.languages[own] == best
            codes[row], scores[row] = best, (found.scores[own] * sizes[own])[of_best].sum() / sizes[own].sum()
    return LineLanguages(replace(identification, languages=codes, scores=scores), shares, mixed)


def _is_sampled(owners: npt.NDArray[np.int64], is_sure: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Which blocks are looked at: all of a text, or SAMPLED_BLOCKS of a sure one, evenly spread: (blocks,)."""
    counts = np.bincount(owners, minlength=len(is_sure))
    ranks = np.arange(len(owners)) - (np.cumsum(counts) - counts)[owners]
    shares = np.minimum(SAMPLED_BLOCKS, counts)[owners]
    is_next = (ranks + 1) * shares // counts[owners] > ranks * shares // counts[owners]
    return np.asarray(is_next | ~is_sure[owners], np.bool_)


def _add_up(
    codes: npt.NDArray[np.str_], sizes: npt.NDArray[np.int64], own: str, relatives: Mapping[str, set[str]]
) -> Mapping[str, float]:
    """Share of each language, the largest first, equal ones by code; relatives of the text's language count as it."""
    totals: dict[str, int] = {}
    for code, size in zip(codes.tolist(), sizes.tolist(), strict=True):
        name = own if code in relatives.get(own, ()) else code
        totals[name] = totals.get(name, 0) + size
    whole = sum(totals.values())
    return {code: totals[code] / whole for code in sorted(totals, key=lambda code: (-totals[code], code))}


def cut_blocks(texts: pa.Array) -> tuple[pa.Array, npt.NDArray[np.int64]]:
    """Cut texts at line ends into blocks of at least BLOCK_BYTES, and of at least a 1/MAX_BLOCKS of the text.

    A shorter rest stays with the block before it.

    Returns:
        the blocks in order, sharing the texts' bytes, and the number of the text that each is of.
    """
    offsets, data = string_buffers(texts)
    room = int(offsets[-1] - offsets[0]) // BLOCK_BYTES + len(texts) + 1
    bounds, owners = np.empty(room, np.int64), np.empty(room, np.int64)
    count = _cut(offsets, data, bounds, owners)
    bounds[count] = offsets[-1]
    buffers = [None, pa.py_buffer(bounds[: count + 1]), pa.py_buffer(data)]
    return pa.Array.from_buffers(pa.large_string(), count, buffers), owners[:count]


@kernel
def _cut(
    offsets: npt.NDArray[np.int64],
    data: npt.NDArray[np.uint8],
    bounds: npt.NDArray[np.int64],
    owners: npt.NDArray[np.int64],
) -> int:
    """Write where each block starts, and whose it is; return how many there are."""
    count = 0
    for row in range(offsets.shape[0] - 1):
        end, start = offsets[row + 1], offsets[row]
        shortest = max(BLOCK_BYTES, (end - start) // MAX_BLOCKS)
        for position in range(start, end):
            is_end = position + 1 == end
            if is_end or (data[position] == _LINE_END and position + 1 - start >= shortest):
                is_rest = position + 1 - start < shortest and count > 0 and owners[count - 1] == row
                if not is_rest:
                    bounds[count], owners[count] = start, row
                    count += 1
                start = position + 1
    return count


def _relatives(identifier: Identifier) -> Mapping[str, set[str]]:
    """Languages whose blocks count as a text's own: too close, or too alike in script, to be told by one block.

    Pairs that the second look tells apart are none of them.
    """
    found: dict[str, set[str]] = {JAPANESE: {CHINESE}}  # lines without kana
    told = {(code, other) for pair in identifier.second_look.pairs for code in pair for other in pair}
    for numbers in identifier.sharers().values():
        sharing = {identifier.languages[number].code for number in numbers}
        for code in sharing:
            found.setdefault(code, set()).update(other for other in sharing if (code, other) not in told)
    return found
