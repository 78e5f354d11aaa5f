"""Documents and parallel sentences of the benchmark, canonical (repaired) and raw."""

import gzip
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from seallm.canonical.repair import repair
from seallm.languages import load_languages
from seallm.vocab.expansion import LanguageTexts

LANGUAGES = ("en", "vi", "zh", "th", "id", "km", "lo", "ms", "my", "tl")
SPACED_LATIN = ("vi", "id", "ms", "tl")
Sentences = Mapping[str, Sequence[str]]


def documents(data: Path, language: str, megabytes: float) -> Iterator[str]:
    """Repaired documents of a language, until so many megabytes are read."""
    size = 0
    with gzip.open(data / "docs" / f"{language}.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            if size >= megabytes * 1e6:
                return
            text = repair(json.loads(line)["text"])
            size += len(text.encode("utf-8"))
            yield text


def sib200(data: Path, half: str) -> dict[str, list[str]]:
    """FLORES sentences with topics; `half` is train (701 sentences) or dev (99)."""
    folder = data / "parallel" / "sib200"
    paths = {code: folder / f"{half}.{code}.jsonl" for code in LANGUAGES}
    return {code: [json.loads(line)["text"] for line in _lines(path)] for code, path in paths.items()}


def ntrex(data: Path) -> dict[str, list[str]]:
    """News sentences; the Burmese of the file is Zawgyi, which `canonical` repairs."""
    return {code: _lines(data / "parallel" / "ntrex" / f"{code}.txt") for code in LANGUAGES}


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").removesuffix("\n").split("\n")


def canonical(sentences: Sentences) -> dict[str, list[str]]:
    """The sentences as seallm's corpus and chat would see them."""
    return {code: [repair(line) for line in lines] for code, lines in sentences.items()}


def test_sets(data: Path) -> dict[str, dict[str, list[str]]]:
    """By name: what the ratios are measured on."""
    raw = {"SIB-200 dev": sib200(data, "dev"), "NTREX-128": ntrex(data)}
    forms = {name: canonical(sentences) for name, sentences in raw.items()}
    return forms | {f"{name}, raw": sentences for name, sentences in raw.items()}


def language_texts(data: Path, megabytes: float) -> list[LanguageTexts]:
    """What a learner reads of each language."""
    development = canonical(sib200(data, "train"))
    known = load_languages(LANGUAGES)
    return [LanguageTexts(known[code], documents(data, code, megabytes), development[code]) for code in LANGUAGES]


def write_parallel(data: Path, folder: Path) -> Path:
    """A parallel folder for the stage: SIB-200's train half as `dev`, its dev half as `test`."""
    folder.mkdir(parents=True, exist_ok=True)
    for half, sentences in (("dev", sib200(data, "train")), ("test", sib200(data, "dev"))):
        for code, lines in sentences.items():
            (folder / f"{half}.{code}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder
