"""Tokens across spaces ("superwords", arXiv 2503.13423): for which languages, of which words, and past which regex.

A Vietnamese word is written as several syllables with spaces between, so its tokens may cross spaces. Tokenizers of the
SentencePiece kind allow that as they are. Byte-level ones cut at every space before any merge; their regex is given one
more branch in front, which keeps a run of words together if each holds a letter that the base language does not use:
"người Việt" yes, "the Việt" no. Text without two such words in a row is cut as before, and the base's merges, none of
which has a space behind a letter, encode a run as they do its words.
"""

import bisect
import copy
import itertools
import sys
import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from seallm.base.errors import VocabError
from seallm.languages import Language
from seallm.vocab.base_tokenizer import BpeTokenizer, parse_bpe, pre_tokenizer_steps
from seallm.vocab.pretokenizer import explicit_steps, has_marks, is_letters_only, letters_only_patterns, repair
from seallm.vocab.scripts import assigned_characters

MIN_WHOLE_SHARE = 0.03  # of the running words that begin with some letters, so many must be just these
_ASCII_END = 0x7F


def superword_languages(languages: Sequence[Language], asked: Sequence[str] | None, base: BpeTokenizer) -> list[str]:
    """Codes of the languages whose tokens may cross spaces.

    Args:
        languages: of the run, the preserved one first.
        asked: the recipe's `superwords`.
        base: the tokenizer to extend.

    Raises:
        VocabError: the recipe asks for a language that this base cannot give superwords.
    """
    able = {language.code for language in languages[1:] if can_cross_spaces(base, language)}
    if asked is None:
        return [language.code for language in languages[1:] if language.spaced_syllables and language.code in able]
    for code in asked:
        if code not in able:
            raise VocabError(
                f"vocab.superwords names {code!r}, but the pre-tokenizer of {base.where} cuts at every space, and that "
                "can be lifted only for languages of spaced syllables with letters beyond ASCII (Vietnamese), and not "
                f"under ignore_merges. Take {code!r} out, or start from a tokenizer without a regex (Llama-2, Mistral)"
            )
    return list(asked)


def prepared_base(
    base: BpeTokenizer,
    development: Mapping[str, Sequence[str]],
    languages: Sequence[Language],
    asked: Sequence[str] | None,
) -> BpeTokenizer:
    """The base as merges are learned on it: its regex admits marks where a language writes them, and keeps runs of
    words together where a language crosses spaces.

    Args:
        base: the tokenizer to extend.
        development: sentences by language.
        languages: of the run, the preserved one first.
        asked: the recipe's `superwords`.
    """
    if letters_only_patterns(base.document) and has_marks(s for lines in development.values() for s in lines):
        base = parse_bpe(repair(base.document), base.where)
    crossing = superword_languages(languages, asked, base)
    if base.kind == "sentencepiece" or not crossing:
        return base
    return parse_bpe(joins_words(base.document, [k for k in languages if k.code in crossing]), base.where)


def can_cross_spaces(base: BpeTokenizer, language: Language) -> bool:
    """True where merges of this language can be made to reach across spaces without touching the base language."""
    if base.kind == "sentencepiece":
        return not any(splits_at_spaces(step) for step in pre_tokenizer_steps(base.document))
    # where whole pre-tokens are looked up before any merge, a word inside a run would no longer be found
    return language.spaced_syllables and not base.ignores_merges and bool(_own_letters([language]))


def splits_at_spaces(step: Mapping[str, Any]) -> bool:
    """True for every step but a Metaspace that only writes spaces as "▁"."""
    return step["type"] != "Metaspace" or bool(step.get("split", True))


def usual_words(pieces: Mapping[str, int]) -> frozenset[str]:
    """Words that superwords may be made of: those that are not mostly the beginning of longer ones.

    Args:
        pieces: counted text of one language, spaces as they are or as "▁".
    """
    counts: defaultdict[str, int] = defaultdict(int)
    for piece, count in pieces.items():
        for word in piece.replace("▁", " ").split():
            counts[word] += count
    words = sorted(counts)
    # words with the same beginning stand together
    up_to = list(itertools.accumulate((counts[word] for word in words), initial=0))
    usual = []
    for at, word in enumerate(words):
        end = bisect.bisect_left(words, word + chr(sys.maxunicode), lo=at)
        if counts[word] >= MIN_WHOLE_SHARE * (up_to[end] - up_to[at]):
            usual.append(word)
    return frozenset(usual)


def joins_words(document: Mapping[str, Any], languages: Sequence[Language]) -> dict[str, Any]:
    """A copy of a byte-level `tokenizer.json` whose regex keeps runs of these languages' own words together.

    Raises:
        VocabError: the pre-tokenizer has no regex.
    """
    joined = copy.deepcopy(dict(document))
    letters = _own_letters(languages)
    steps = copy.deepcopy(explicit_steps(document))
    for step in steps:
        if step["type"] == "Split" and "Regex" in step["pattern"]:
            pattern = step["pattern"]["Regex"]
            any_letter = r"\p{L}" if is_letters_only(pattern) else r"[\p{L}\p{M}]"
            word = f"{any_letter}*[{letters}]{any_letter}*"
            step["pattern"]["Regex"] = f" ?{word}(?: {word})+|{pattern}"
            joined["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": steps}
            return joined
    raise VocabError("The pre-tokenizer has no regex that could keep words together; leave vocab.superwords out")


def _own_letters(languages: Sequence[Language]) -> str:
    """Letters beyond ASCII of the languages' scripts, as ranges for a regex."""
    scripts = dict.fromkeys(script for language in languages for script in language.scripts)
    letters = [ord(c) for script in scripts for c in assigned_characters(script) if unicodedata.category(c)[0] == "L"]
    ranges: list[list[int]] = []
    for code in sorted(letter for letter in letters if letter > _ASCII_END):
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    return "".join(f"{chr(first)}-{chr(last)}" for first, last in ranges)
