"""One TOML file a language: names, scripts, identification labels, and what the corpus stage must know of its writing.

Adding a language is adding a file `<code>.toml` here, or naming its path in a recipe's `language_files`.
"""

import functools
import os
import tomllib
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from seallm.base.errors import RecipeError

Script = Literal["latin", "thai", "lao", "khmer", "myanmar", "han", "other"]


class Quality(BaseModel):
    """Thresholds of the basic quality rules.

    A unit is a word, or a base-plus-mark cluster where there are no spaces. For n-grams, four clusters or two Chinese
    characters stand for a word.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    min_units: int = 30
    """Shortest document kept, in units."""
    min_mean_unit_letters: float = 1.0
    """Shortest mean unit, in letters (Gopher rule)."""
    max_mean_unit_letters: float = 12.0
    """Longest mean unit, in letters (Gopher rule)."""
    min_letter_share: float = 0.6
    """Letters and marks among all characters that are not white space."""
    max_symbol_share: float = 0.1
    """Symbols among all characters that are not white space."""
    max_duplicate_line_share: float = 0.3
    """Characters in lines that occurred before, among all characters of lines (Gopher rule)."""
    max_top_ngram_share: float = 0.25
    """Letters covered by the most frequent 2-gram of words, among all letters of units (Gopher rule)."""
    max_repeated_ngram_share: float = 0.3
    """Letters in 10-grams of words that occurred before, among all letters of units (Gopher rule)."""
    min_stop_words: int = 0
    """Different stop words that must occur (Gopher rule); 0 switches the rule off."""
    min_stop_word_share: float = 0.0
    """Stop words among all units; random words and lists of keywords have next to none. 0 switches the rule off."""
    max_replacement_share: float = 0.01
    """U+FFFD among all characters that are not white space: text whose bytes were lost before it came here."""


class Language(BaseModel):
    """What seallm knows of one language."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    code: str
    """Short code used everywhere: recipe, folders, reports."""
    name: str
    """English name."""
    native_name: str
    """Its name in itself."""
    scripts: tuple[Script, ...]
    """Scripts it is written in."""
    spaced: bool
    """True where spaces stand between words."""
    spaced_syllables: bool = False
    """True where spaces stand between the syllables of one word too."""
    identifier_labels: tuple[str, ...]
    """Labels of this language in lid.176 and other models, of each its own first; several languages may share one."""
    min_identifier_score: float = Field(default=0.4, ge=0, le=1)
    """Least score of a document that is kept: the labels' probability, or the script's share where it decides."""
    stop_words: tuple[str, ...] = ()
    """Frequent function words, lower case."""
    telling_words: tuple[str, ...] = ()
    """Frequent words, lower case, that the languages sharing a label with this one do not use or spell otherwise."""
    system_prompt: str
    """Default system prompt of conversations in this language."""
    quality: Quality = Quality()
    """Thresholds of the quality rules."""


OWN_FILES_VARIABLE = "SEALLM_LANGUAGE_FILES"


def use_language_files(files: Sequence[Path]) -> None:
    """Know the languages of these files too; a file named like a shipped one (`th.toml`) replaces it.

    Worker processes must know the same languages, so the list stands in the environment, which they inherit.

    Raises:
        RecipeError: a file is missing, or not named `<code>.toml`.
    """
    for file in files:
        if file.suffix != ".toml" or not file.is_file():
            raise RecipeError(
                f"language_files has {file}; expected a file named <code>.toml, such as languages/ta.toml"
            )
    os.environ[OWN_FILES_VARIABLE] = os.pathsep.join(str(file.resolve()) for file in files)


def known_languages() -> tuple[str, ...]:
    """Codes of all languages that have a file."""
    return tuple(sorted(_language_files(os.environ.get(OWN_FILES_VARIABLE, ""))))


@functools.cache
def _language_files(own: str) -> dict[str, Path]:
    shipped = Path(str(resources.files("seallm") / "languages")).iterdir()
    files = [*shipped, *(Path(file) for file in own.split(os.pathsep) if file)]
    return {file.name.removesuffix(".toml"): file for file in files if file.name.endswith(".toml")}


def load_language(code: str) -> Language:
    """Read one language file.

    Raises:
        RecipeError: there is no such file, or it is malformed.
    """
    files = _language_files(os.environ.get(OWN_FILES_VARIABLE, ""))
    if code not in files:
        raise RecipeError(
            f"Unknown language {code!r}. Known: {', '.join(known_languages())}. To add one, write {code}.toml and name "
            "it in the recipe's language_files"
        )
    return _read(code, files[code])


@functools.cache
def _read(code: str, file: Path) -> Language:
    try:
        return Language.model_validate({"code": code, **tomllib.loads(file.read_text(encoding="utf-8"))})
    except (ValidationError, tomllib.TOMLDecodeError) as error:
        raise RecipeError(f"{file}: {error}") from None


def load_languages(codes: tuple[str, ...]) -> dict[str, Language]:
    """Read several language files, in the given order."""
    return {code: load_language(code) for code in codes}
