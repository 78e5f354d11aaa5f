"""Figures in; the headline in: one sentence and a card for each promise of a run, better or worse as it came out.

`report.json` keeps the cards as its `headline`, and the summary that `seallm run` prints is made of them.
"""

import math
from collections.abc import Sequence

from seallm.evaluate.report_data import TRAINING_STAGES, Figures
from seallm.evaluate.report_results import ALL, pooled_share
from seallm.evaluate.report_text import change, count, quantity, signed_share, span
from seallm.languages import known_languages, load_language

QUIZ = "quiz"
_WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


def language_name(code: str) -> str:
    """English name of a language; the code itself where it has no file."""
    return load_language(code).name if code in known_languages() else code


def headline(figures: Figures) -> list[Figures]:
    """The cards that the run's stages have figures for: label, value, detail, and what the sentence says of them."""
    base_language = figures["languages"][0]
    made = [
        _compression(figures["vocab"], base_language),
        *_bits_per_byte(figures["bits_per_byte"], base_language),
        _quiz(figures["results"]),
        _preference(figures["preference"]),
    ]
    return [card for card in made if card]


def sentence(cards: Sequence[Figures]) -> str:
    """What came of the run, in one sentence."""
    parts = [card["says"] for card in cards]
    if not parts:
        return "No stage of this run has written figures for a headline yet."
    text = "; ".join(parts)
    return text[0].upper() + text[1:] + "."


def languages_in_words(number: int) -> str:
    """`9` -> `nine new languages`."""
    word = _WORDS[number] if number < len(_WORDS) else str(number)
    return f"{word} new language{'' if number == 1 else 's'}"


def _compression(vocab: Figures | None, base_language: str) -> Figures | None:
    rows = [r for r in (vocab or {}).get("rows", []) if r["gain"] and r["language"] != base_language]
    if not rows:
        return None
    gain = math.exp(sum(math.log(r["gain"]) for r in rows) / len(rows))
    most, least = max(rows, key=lambda r: r["gain"]), min(rows, key=lambda r: r["gain"])
    ends = " to ".join(
        f"{quantity(r['gain'], 'ratio', digits=1)} ({language_name(r['language'])})" for r in (least, most)
    )
    return {
        "key": "compression_gain",
        "label": "Compression gain",
        "value": quantity(gain, "ratio", digits=1),
        "detail": f"tokens for the same meaning, before over after; geometric mean of {languages_in_words(len(rows))}, "
        f"{ends if len(rows) > 1 else language_name(most['language'])}",
        "says": f"the same meaning takes {quantity(abs(1 - 1 / gain), 'share', digits=0)} "
        f"{'fewer' if gain >= 1 else 'more'} tokens in {languages_in_words(len(rows))}",
        "figure": gain,
    }


def _bits_per_byte(rows: Sequence[Figures], base_language: str) -> list[Figures | None]:
    known = [(r, r["final"] / (r["base"] or r["start"]) - 1) for r in rows if r["final"] and (r["base"] or r["start"])]
    new = [(r, c) for r, c in known if r["language"] != base_language]
    old = [(r, c) for r, c in known if r["language"] == base_language]
    return [_new_bits(new) if new else None, _old_bits(*old[0]) if old else None]


def _new_bits(changes: Sequence[tuple[Figures, float]]) -> Figures:
    mean = sum(c for _, c in changes) / len(changes)
    fell = sum(c < 0 for _, c in changes)
    ordered = sorted(changes, key=lambda pair: pair[1])
    ends = dict.fromkeys(f"{signed_share(c)} ({language_name(r['language'])})" for r, c in (ordered[0], ordered[-1]))
    documents = sum(r["documents"] or 0 for r, _ in changes)
    return {
        "key": "bits_per_byte_new_languages",
        "label": "Bits per byte, new languages",
        "value": signed_share(mean),
        "detail": f"held-out text, lower is better; fell in {fell} of {len(changes)}: {' to '.join(ends)}; "
        f"n\u00a0=\u00a0{count(documents)} documents",
        "says": f"held-out bits per byte fell in {fell} of {len(changes)} new languages "
        f"({signed_share(mean)} on average)",
        "figure": mean,
    }


def _old_bits(row: Figures, relative: float) -> Figures:
    name = language_name(row["language"])
    before = row["base"] or row["start"]
    verb = "rose" if relative > 0 else "fell"
    return {
        "key": "bits_per_byte_base_language",
        "label": f"Bits per byte, {name}",
        "value": signed_share(relative),
        "detail": f"what the base model knew: {quantity(before, 'bits')} before, "
        f"{quantity(row['final'], 'bits')} after; n\u00a0=\u00a0{count(row['documents'])} documents",
        "says": f"{name} bits per byte {verb} {change(before, row['final']).lstrip('+−')}",
        "figure": relative,
    }


def _quiz(tasks: Sequence[Figures]) -> Figures | None:
    found = [t for t in tasks if QUIZ in t["task"] and t["is_primary"]]
    after = next((m for m in ("sft", "dpo", "hybrid", "pretrain") if found and m in found[0]["models"]), None)
    before = next((m for m in TRAINING_STAGES if found and m in found[0]["models"]), None)
    if after is None or before is None or after == before:
        return None
    rows = [{c["model"]: c for c in row["cells"]} | {"chance": row["chance"]} for row in _whole(found[0]["rows"])]
    rows = [row for row in rows if before in row and after in row]
    pools = [rows[0][m] if len(rows) == 1 else pooled_share([row[m] for row in rows]) for m in (before, after)]
    if not all(pool and pool["value"] is not None for pool in pools):
        return None
    chances = [row["chance"] for row in rows if row["chance"] is not None]
    chance = sum(chances) / len(chances) if chances else None
    card = _from_to("quiz", "Quiz accuracy", f"{before} → {after}", pools, chance)
    if chance is not None:
        card["says"] += f" (chance {quantity(chance, 'share', digits=0)})"
    return card


def _whole(rows: Sequence[Figures]) -> list[Figures]:
    """The row of all languages where there is one, else all rows."""
    return [row for row in rows if row["language"] == ALL] or list(rows)


def _preference(preference: Figures | None) -> Figures | None:
    accuracy = (preference or {}).get("accuracy")
    if not accuracy or not (accuracy["sentence"] or accuracy["after"]["n"]):
        return None
    if accuracy["before"]["value"] is None or accuracy["after"]["value"] is None:
        return {
            "key": "preference_accuracy",
            "label": "Preference accuracy",
            "value": "not measured",
            "detail": accuracy["sentence"],
            "says": "preference accuracy was not measured",
            "figure": None,
        }
    card = _from_to(
        "preference_accuracy",
        "Preference accuracy",
        "sft → dpo, held out",
        [accuracy["before"], accuracy["after"]],
        0.5,
    )
    if accuracy["improved"] is False:
        card["says"] = card["says"].replace("went from", "did not improve, from")
    elif accuracy["after"]["low"] is not None and accuracy["after"]["low"] <= accuracy["before"]["value"]:
        card["says"] += ", a rise within chance"
    return card


def _from_to(key: str, title: str, models: str, ends: Sequence[Figures | None], chance: float | None) -> Figures:
    """A card for a share that went from one value to another, with n and both intervals."""
    before, after = (end or {} for end in ends)
    values = [quantity(end["value"], "share", digits=0) for end in (before, after)]
    spans = " → ".join(span(end["low"], end["high"], "share", digits=0) for end in (before, after))
    counts = " and ".join(dict.fromkeys(count(end["n"]) for end in (before, after)))
    by_chance = f"; chance {quantity(chance, 'share', digits=0)}" if chance is not None else ""
    return {
        "key": key,
        "label": title,
        "value": " → ".join(values),
        "detail": f"{models}; 95\u202f% intervals {spans}; n\u00a0=\u00a0{counts}{by_chance}",
        "says": f"{title.lower()} went from {values[0]} to {values[1]}",
        "figure": {"before": before, "after": after, "chance": chance},
    }
