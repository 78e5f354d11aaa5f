"""Turns in, the language of each out, by the corpus stage's identifier; and who speaks another than was said.

Turns are short and hold code, formulas and names, which identifiers take for other languages. Fenced and quoted code
and addresses are therefore left out, and a turn *tells* its language only where it has letters enough: a few where the
script decides, more where lid.176 does, many more where it decides for a language that seallm has no file for, or
between two that are alike (Malay and Indonesian). A turn that tells nothing agrees with everything.
"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from seallm.base.records import Conversation
from seallm.corpus.characters import FIRST_UNSPACED, LAST_UNSPACED, SCRIPTS
from seallm.corpus.fasttext import default_model
from seallm.corpus.identify import JAPANESE, MIN_SCRIPT_SHARE, UNDETERMINED_MYANMAR, Identifier
from seallm.corpus.line_languages import line_languages
from seallm.corpus.ngrams import make_minhash
from seallm.corpus.statistics import LETTERS, measure
from seallm.corpus.word_lists import WordLists
from seallm.languages import known_languages, load_language, load_languages

SCRIPT_LETTERS = 6  # of Thai, Lao, Khmer, Burmese, Chinese: the script decides
TELLING_LETTERS, TELLING_SCORE = 30, 0.6  # of Latin script: lid.176 is at a loss with three words
STRANGE_LETTERS, STRANGE_SCORE = 80, 0.8  # a language without a file: short Indonesian passes for Cebuano
CONTESTED_LETTERS = 200  # where the second look decided, or two languages share a label
PART_OF_PROMPT = 0.2  # share of a prompt in the answer's language or script that makes it a prompt in both
# fenced code, quoted code, formulas between dollars, addresses
_NO_LANGUAGE = r"(?s)```.*?(?:```|$)|`[^`\n]+`|\$\$.+?\$\$|https?://\S+|www\.\S+"


@dataclass(frozen=True)
class _Tools:
    """What is made once a process."""

    identifier: Identifier
    words: WordLists


class TurnLanguages(NamedTuple):
    """One row a turn.

    Attributes:
        codes: the likeliest language, (t,).
        letters: that were looked at, (t,).
        tells: True where there was enough to tell, (t,).
        shares: of the turns in several languages, by number: language to share of bytes.
        scripts: letters by script, (t, scripts).
    """

    codes: npt.NDArray[np.str_]
    letters: npt.NDArray[np.int64]
    tells: npt.NDArray[np.bool_]
    shares: Mapping[int, Mapping[str, float]]
    scripts: npt.NDArray[np.int64]


@functools.cache
def _tools(codes: tuple[str, ...]) -> _Tools:
    model, labels = default_model()
    identifier = Identifier(tuple(load_languages(codes).values()), model, labels)
    return _Tools(identifier, identifier.word_lists())


def identify_turns(texts: pa.Array) -> TurnLanguages:
    """Identify every turn.

    Args:
        texts: (t,) strings.

    Raises:
        DataError: a text is null or not valid UTF-8.
    """
    tools = _tools(known_languages())
    words = pc.replace_substring_regex(texts, _NO_LANGUAGE, " ")
    statistics = measure(words, tools.words, make_minhash(1, 1))
    whole = tools.identifier.identify(words, statistics)
    found = line_languages(words, whole, tools.identifier, tools.words)
    codes, scores = found.identification.languages, found.identification.scores
    letters = statistics.totals[:, LETTERS]
    by_script = np.isin(codes, [*tools.identifier.by_script().values(), JAPANESE, UNDETERMINED_MYANMAR])
    by_script &= statistics.scripts[:, FIRST_UNSPACED : LAST_UNSPACED + 1].sum(axis=1) >= MIN_SCRIPT_SHARE * letters
    is_strange = ~by_script & ~np.isin(codes, known_languages())
    needed = np.select(
        [by_script, is_strange, whole.contested], [SCRIPT_LETTERS, STRANGE_LETTERS, CONTESTED_LETTERS], TELLING_LETTERS
    )
    is_sure = by_script | (scores >= np.where(is_strange, STRANGE_SCORE, TELLING_SCORE))
    return TurnLanguages(codes, letters, (letters >= needed) & is_sure, found.shares, statistics.scripts)


def languages_of_texts(texts: Sequence[str]) -> list[str]:
    """The likeliest language of each text, however short it is."""
    if not texts:
        return []
    return [str(code) for code in identify_turns(pa.array(texts, pa.large_string())).codes]


def languages_of_answers(conversations: Sequence[Conversation]) -> list[str]:
    """The likeliest language of each conversation's answers together."""
    return languages_of_texts(
        ["\n".join(m.content for m in c.messages if m.role == "assistant") for c in conversations]
    )


class Agreement(NamedTuple):
    """One row a conversation.

    Attributes:
        foreign_share: letters of answers in another language than the conversation's, of those that tell theirs, (n,).
        answers: the language that most of these letters are in; empty where none tells, (n,).
        prompts: the same of the user's turns, (n,).
        prompt_agrees: the user's turns are in the conversation's language, in part at least, or tell none, (n,).
    """

    foreign_share: npt.NDArray[np.float64]
    answers: npt.NDArray[np.str_]
    prompts: npt.NDArray[np.str_]
    prompt_agrees: npt.NDArray[np.bool_]


def find_agreement(
    found: TurnLanguages,
    owners: npt.NDArray[np.int64],
    is_user: npt.NDArray[np.bool_],
    is_assistant: npt.NDArray[np.bool_],
    languages: npt.NDArray[np.str_],
) -> Agreement:
    """Compare the language of turns with that of their conversation.

    Args:
        found: of t turns.
        owners: row of the conversation that each turn is of, ascending, (t,).
        is_user: (t,).
        is_assistant: (t,).
        languages: code of each conversation, (n,).
    """
    rows = len(languages)
    own = languages[owners]
    is_like = _are_alike(found.codes, own) & (found.letters < CONTESTED_LETTERS)
    found = found._replace(codes=np.where(is_like, own, found.codes))
    answering, asking = found.tells & is_assistant, found.tells & is_user
    is_foreign = found.codes != own
    letters = np.bincount(owners, found.letters * answering, rows)
    foreign = np.bincount(owners, found.letters * (answering & is_foreign), rows)
    share = np.divide(foreign, letters, out=np.zeros(rows), where=letters > 0)
    share[_is_about_another_script(found, owners, is_user, is_assistant, languages)] = 0
    prompts = _main_language(found, owners, asking, rows)
    agrees = (prompts == "") | (prompts == languages)
    for turn, parts in found.shares.items():
        if is_user[turn] and parts.get(str(languages[owners[turn]]), 0.0) >= PART_OF_PROMPT:
            agrees[owners[turn]] = True
    return Agreement(share, _main_language(found, owners, answering, rows), prompts, agrees)


def _is_about_another_script(
    found: TurnLanguages,
    owners: npt.NDArray[np.int64],
    is_user: npt.NDArray[np.bool_],
    is_assistant: npt.NDArray[np.bool_],
    languages: npt.NDArray[np.str_],
) -> npt.NDArray[np.bool_]:
    """Which answers are in a script that is not their language's but part of the prompt: a question about an English
    sentence, or about code, may be answered with one.
    """
    asked, answered = np.zeros((2, len(languages), found.scripts.shape[1]), np.int64)
    np.add.at(asked, owners[is_user], found.scripts[is_user])
    np.add.at(answered, owners[is_assistant], found.scripts[is_assistant])
    main = answered.argmax(axis=1)
    rows = np.arange(len(languages))
    own = {code: [SCRIPTS.index(name) for name in load_language(code).scripts] for code in known_languages()}
    is_own = np.array(
        [script in own.get(code, ()) for code, script in zip(languages.tolist(), main, strict=True)], bool
    )
    return np.asarray(~is_own & (asked[rows, main] >= PART_OF_PROMPT * np.maximum(asked.sum(axis=1), 1)), np.bool_)


def _are_alike(codes: npt.NDArray[np.str_], others: npt.NDArray[np.str_]) -> npt.NDArray[np.bool_]:
    """Which pairs of languages share a label of the identifier, as Malay and Indonesian do."""
    labels = {code: set(load_language(code).identifier_labels) for code in known_languages()}
    alike = {(a, b) for a in labels for b in labels if a != b and labels[a] & labels[b]}
    found = np.zeros(len(codes), np.bool_)
    for a, b in sorted(alike):
        found |= (codes == a) & (others == b)
    return found


def _main_language(
    found: TurnLanguages, owners: npt.NDArray[np.int64], chosen: npt.NDArray[np.bool_], rows: int
) -> npt.NDArray[np.str_]:
    """The language of most letters of the chosen turns of each row; of even ones the first by code."""
    codes, numbers = np.unique(found.codes, return_inverse=True)
    main = np.full(rows, "", dtype="U16")
    best = np.zeros(rows)
    for number, code in enumerate(codes):
        letters = np.bincount(owners, found.letters * (chosen & (numbers == number)), rows)
        more = letters > best
        main[more], best[more] = code, letters[more]
    return main
