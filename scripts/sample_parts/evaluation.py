"""Evaluation data in, small aligned excerpts out: parallel sentences, XCOPA, XQuAD, NTREX-128, safety prompts.

All text is canonical (NFC, no zero-width spaces): an invisible character must not decide a figure.
"""

import random
import re
from pathlib import Path

from sample_parts.sources import LANGUAGES, Row, Source, canonical, read_rows

DEV_SENTENCES = 250
TEST_SENTENCES = 150
XCOPA_ROWS = 60
XQUAD_ROWS = 30
NTREX_SENTENCES = 60
NTREX_CHARACTERS = (40, 180)
MULTIJAIL_IDS = ("10", "12", "61", "96", "112", "121", "124", "127", "128", "141", "145", "151")
SEA_SAFEGUARD_IDS = (21, 35, 67, 98, 211, 219, 246, 252, 277, 280, 284, 287)
# What a wrong conversion leaves behind: Zawgyi's own code points, a vowel sign before its consonant or after a vowel.
ZAWGYI_REMAINS = re.compile("[ၠ-႟]|(^|\\s)ေ|[ါ-ဲံ-း]ေ|ေ[ေျ-ှ]|[ါ-ဲ][ျ-ှ]")


def parallel(data: Path, rng: random.Random) -> dict[str, dict[str, list[str]]]:
    """FLORES sentences of SIB-200 as {"dev" | "test": {language: sentences}}, the same ones in every language."""
    rows: dict[str, dict[tuple[str, int], str]] = {}
    for language in LANGUAGES:
        rows[language] = {
            (part, row["id"]): canonical(row["text"])
            for part in ("train", "dev")
            for row in read_rows(data / "parallel" / "sib200" / f"{part}.{language}.jsonl")
        }
    shared = set.intersection(*(set(found) for found in rows.values()))
    train = sorted(key for key in shared if key[0] == "train")
    dev = rng.sample(train, DEV_SENTENCES)
    held = sorted(key for key in shared if key[0] == "dev")
    rest = [key for key in train if key not in set(dev)]
    test = held + rng.sample(rest, TEST_SENTENCES - len(held))
    return {
        name: {language: [rows[language][key] for key in sorted(keys)] for language in LANGUAGES}
        for name, keys in (("dev", dev), ("test", test))
    }


def xcopa(data: Path) -> dict[str, list[Row]]:
    """The first rows of the validation part; the same ones in each language."""
    found = {}
    for language in ("id", "th", "vi", "zh"):
        rows = list(read_rows(data / "bench" / "xcopa" / f"val.{language}.jsonl"))[:XCOPA_ROWS]
        text_keys = ("premise", "choice1", "choice2")
        found[language] = [
            {
                **{key: canonical(row[key]) for key in text_keys},
                **{key: row[key] for key in ("question", "label", "idx")},
            }
            for row in rows
        ]
    return found


def xquad(data: Path) -> dict[str, list[Row]]:
    """Questions on the shortest English contexts, at most two a context; the same ones in each language."""
    english = list(read_rows(data / "bench" / "xquad" / "en.jsonl"))
    ranked = sorted(english, key=lambda row: (len(row["context"]), row["id"]))
    taken: dict[str, int] = {}
    ids = []
    for row in ranked:
        taken[row["context"]] = taken.get(row["context"], 0) + 1
        if taken[row["context"]] <= 2:
            ids.append(row["id"])
    ids = ids[:XQUAD_ROWS]
    found = {}
    for language in ("en", "th", "vi", "zh"):
        rows = {row["id"]: row for row in read_rows(data / "bench" / "xquad" / f"{language}.jsonl")}
        found[language] = [_xquad_row(rows[key]) for key in ids]
    return found


def _xquad_row(row: Row) -> Row:
    texts = {key: canonical(row[key]) for key in ("context", "question")}
    return {"id": row["id"], **texts, "answers": [canonical(answer) for answer in row["answers"]]}


def ntrex(data: Path, rng: random.Random) -> dict[str, list[str]]:
    """Sixty news sentences, the same ones in every language; Burmese converted from Zawgyi."""
    lines = {
        language: (data / "parallel" / "ntrex" / f"{language}.txt").read_text(encoding="utf-8").split("\n")
        for language in LANGUAGES
    }
    lines["my"] = zawgyi_to_unicode(lines["my"])
    lines = {language: [canonical(line) for line in found] for language, found in lines.items()}
    least, most = NTREX_CHARACTERS
    good = [
        k
        for k, english in enumerate(lines["en"])
        if least <= len(english) <= most
        and all(lines[language][k] for language in LANGUAGES)
        and not ZAWGYI_REMAINS.search(lines["my"][k])
    ]
    chosen = sorted(rng.sample(good, NTREX_SENTENCES))
    return {language: [lines[language][k] for k in chosen] for language in LANGUAGES}


def zawgyi_to_unicode(lines: list[str]) -> list[str]:
    """Burmese in the Zawgyi encoding to Unicode, by the Zawgyi-my rules of the Unicode CLDR.

    Raises:
        SystemExit: ICU's Python package is missing.
    """
    try:
        import icu
    except ImportError:
        raise SystemExit("NTREX-128's Burmese needs ICU's converter. Install it with: pip install PyICU") from None
    rules = icu.Transliterator.createInstance("Zawgyi-my")
    return [rules.transliterate(line) for line in lines]


def safety(data: Path, texts: Row, sources: dict[str, Source]) -> list[Row]:
    """Twelve mild harmful prompts and eight harmless look-alikes a language."""
    rows = []
    jail = {row["id"]: row for row in read_rows(data / "safety" / "multijail.jsonl")}
    for language in LANGUAGES:
        if language in texts["harmful"]:
            harmful, name = texts["harmful"][language], "seallm-sample"
        elif language in ("en", "zh", "vi", "th"):
            harmful, name = [jail[key][language] for key in MULTIJAIL_IDS], "multijail"
        else:
            listed = read_rows(data / "safety" / f"seasafeguard_general.{language}.jsonl")
            by_id = {row["id"]: row["prompt_text"] for row in listed}
            harmful, name = [by_id[key] for key in SEA_SAFEGUARD_IDS], "sea-safeguardbench"
        for kind, prompts, source in (
            ("harmful", harmful, sources[name]),
            ("harmless", texts["harmless"][language], sources["seallm-sample"]),
        ):
            rows += [
                {
                    "prompt": canonical(p),
                    "language": language,
                    "kind": kind,
                    "source": source.name,
                    "licence": source.licence,
                }
                for p in prompts
            ]
    return rows
