"""Texts in, figures of each text out: all that quality rules, identification and duplicate search need of its bytes.

Units are words, or base-plus-mark clusters in scripts without spaces (Thai, Lao, Khmer, Burmese, Chinese, kana), so no
word list is needed. Where such scripts hold most letters, an n-gram or shingle counts four clusters (two where most are
Chinese) for a word. The kernel walks over Arrow's buffers without the interpreter; tests hold it against a plain-Python
reading of the same definitions.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from seallm.base.kernels import kernel, string_buffers
from seallm.corpus.characters import (
    DIGIT,
    FIRST_UNSPACED,
    HAN,
    IGNORED,
    JOINS_BOTH,
    LAST_UNSPACED,
    LETTER,
    LINE_END,
    MARK,
    SCRIPTS,
    SPACE,
    STARTS,
    SYMBOL,
    TABLE_SIZE,
    CharacterTables,
    character_tables,
    decode,
    look_up,
)
from seallm.corpus.hashing import extend, mix
from seallm.corpus.ngrams import (
    HashSet,
    MinHash,
    Units,
    empty_set,
    insert,
    make_hash_set,
    make_units,
    repeated_ngram_letters,
    sign,
    sum_prefixes,
    top_ngram_letters,
)
from seallm.corpus.word_lists import WordLists, count_listed

# columns of `totals`; "characters" are all but white space and format controls, "letters" include marks
CHARACTERS, LETTERS, SYMBOLS, REPLACEMENTS, UNITS, UNIT_LETTERS, LINES, LINE_CHARACTERS = range(8)
DUPLICATE_LINE_CHARACTERS, TOP_NGRAM_LETTERS, REPEATED_NGRAM_LETTERS, WORDS = range(8, 12)
TOTALS = 12

TOP_NGRAM_WORDS, REPEATED_NGRAM_WORDS = 2, 10
CLUSTERS_PER_WORD, CHINESE_CHARACTERS_PER_WORD = 4, 2
_NEW_LINE, _REPLACEMENT = 0x0A, 0xFFFD


class Statistics(NamedTuple):
    """One row a text."""

    totals: npt.NDArray[np.int64]  # (n, TOTALS)
    scripts: npt.NDArray[np.int64]  # (n, scripts) letters and marks by script
    hashes: npt.NDArray[np.uint64]  # (n,) of the characters: equal where texts differ in white space alone
    signatures: npt.NDArray[np.uint32]  # (n, permutations)
    listed: npt.NDArray[np.int32]  # (n, word lists) units that stand in the list
    distinct: npt.NDArray[np.int32]  # (n, word lists) different words of the list that occur


def measure(texts: pa.Array | pa.ChunkedArray, words: WordLists, minhash: MinHash) -> Statistics:
    """Measure every text.

    Args:
        texts: n strings.
        words: the word lists to count.
        minhash: the hash functions of the signature.

    Raises:
        DataError: a text is null or not valid UTF-8.
    """
    offsets, data = string_buffers(texts)
    n = len(texts)
    longest_bytes = int(np.diff(offsets).max()) if n else 0
    result = Statistics(
        np.zeros((n, TOTALS), np.int64),
        np.zeros((n, len(SCRIPTS)), np.int64),
        np.zeros(n, np.uint64),
        np.zeros((n, len(minhash.multipliers)), np.uint32),
        np.zeros((n, words.list_count), np.int32),
        np.zeros((n, words.list_count), np.int32),
    )
    words.last_rows[:] = -1
    # units and lines need at least a byte each and one between them
    room = longest_bytes // 2 + 1
    _measure((offsets, data), character_tables(), words, minhash, make_units(room), make_hash_set(room), result)
    return result


@kernel
def _measure(
    buffers: tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]],
    tables: CharacterTables,
    words: WordLists,
    minhash: MinHash,
    units: Units,
    seen: HashSet,
    result: Statistics,
) -> None:
    offsets, data = buffers
    for row in range(offsets.shape[0] - 1):
        text = data[offsets[row] : offsets[row + 1]]
        totals, scripts = result.totals[row], result.scripts[row]
        empty_set(seen, text.shape[0] // 2 + 1)
        result.hashes[row] = _count_characters(text, tables, seen, totals, scripts)
        count = cut_units(text, tables, units)
        count_listed(words, units.hashes[:count], row, result.listed[row], result.distinct[row])
        sum_prefixes(units, count)
        per_word = _units_per_word(scripts)
        totals[UNITS] = count
        totals[WORDS] = count // per_word
        totals[UNIT_LETTERS] = units.prefix_letters[count]
        totals[TOP_NGRAM_LETTERS] = top_ngram_letters(units, count, TOP_NGRAM_WORDS * per_word, seen)
        totals[REPEATED_NGRAM_LETTERS] = repeated_ngram_letters(units, count, REPEATED_NGRAM_WORDS * per_word, seen)
        sign(units, count, minhash.shingle_words * per_word, minhash, result.signatures[row])


@kernel
def _units_per_word(scripts: npt.NDArray[np.int64]) -> int:
    unspaced, letters = 0, 0
    for script in range(scripts.shape[0]):
        letters += scripts[script]
        if FIRST_UNSPACED <= script <= LAST_UNSPACED:
            unspaced += scripts[script]
    if 2 * unspaced <= letters:
        return 1
    return CHINESE_CHARACTERS_PER_WORD if 2 * scripts[HAN] > unspaced else CLUSTERS_PER_WORD


@kernel
def _count_characters(
    text: npt.NDArray[np.uint8],
    tables: CharacterTables,
    seen: HashSet,
    totals: npt.NDArray[np.int64],
    scripts: npt.NDArray[np.int64],
) -> np.uint64:
    """Add up classes, scripts and duplicate lines; return the hash of all characters."""
    text_hash, line_hash, line_characters = np.uint64(0), np.uint64(0), 0
    position, end = 0, text.shape[0]
    while position <= end:
        code, width = (_NEW_LINE, 1) if position == end else decode(text, position)
        position += width
        kind, script = look_up(tables, code)
        if kind == LINE_END:
            if line_characters > 0:
                totals[LINES] += 1
                totals[LINE_CHARACTERS] += line_characters
                if insert(seen, mix(line_hash)) > 1:
                    totals[DUPLICATE_LINE_CHARACTERS] += line_characters
            line_hash, line_characters = np.uint64(0), 0
        elif kind != SPACE and kind != IGNORED:
            line_characters += 1
            line_hash = extend(line_hash, np.uint64(code))
            text_hash = extend(text_hash, np.uint64(code))
            totals[CHARACTERS] += 1
            if kind in (LETTER, MARK):
                totals[LETTERS] += 1
                scripts[script] += 1
            elif kind == SYMBOL:
                totals[SYMBOLS] += 1
                totals[REPLACEMENTS] += code == _REPLACEMENT
    return mix(text_hash)


@kernel
def cut_units(text: npt.NDArray[np.uint8], tables: CharacterTables, units: Units) -> int:
    """Write hash and letters of each unit; return how many there are.

    A unit is a run of letters, marks and digits, or in unspaced scripts a base letter with what is tied to it. Case
    and the values of digits do not count.
    """
    count, unit_hash, letters, is_tied, is_cluster = 0, np.uint64(0), 0, False, False
    position, end = 0, text.shape[0]
    while position < end:
        code, width = decode(text, position)
        position += width
        kind, script = look_up(tables, code)
        if kind == IGNORED:
            continue
        is_part = kind in (LETTER, MARK, DIGIT)
        join = int(tables.joins[code]) if code < TABLE_SIZE else STARTS
        is_unspaced = kind == LETTER and FIRST_UNSPACED <= script <= LAST_UNSPACED
        starts = (is_unspaced or is_cluster) and join == STARTS and not is_tied
        if letters > 0 and (starts or not is_part):
            units.hashes[count], units.letters[count] = mix(unit_hash), letters
            count, unit_hash, letters = count + 1, np.uint64(0), 0
        is_tied = join == JOINS_BOTH
        if is_part:
            is_cluster = is_unspaced if letters == 0 else is_cluster
            lower = int(tables.lower[code]) if code < TABLE_SIZE else code
            unit_hash = extend(unit_hash, np.uint64(lower))
            letters += 1
    if letters > 0:
        units.hashes[count], units.letters[count] = mix(unit_hash), letters
        count += 1
    return count
