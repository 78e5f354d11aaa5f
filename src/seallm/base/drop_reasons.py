"""Why a text was dropped, by the name that tables carry: in words for reports, and which are never quoted."""

TITLES = {
    "empty": "no text",
    "language": "other language",
    "language_score": "language uncertain",
    "short": "too short",
    "encoding": "damaged encoding",
    "unit_length": "odd word lengths",
    "few_letters": "few letters",
    "symbols": "many symbols",
    "stop_words": "few function words",
    "duplicate_lines": "repeated lines",
    "top_ngram": "one phrase over and over",
    "repeated_ngrams": "repeated passages",
    "exact_duplicate": "exact copy",
    "near_duplicate": "near copy",
    "benchmark": "passage of a benchmark",
    "personal_data": "personal data",
    "harm": "harmful words",
    "blocked": "blocked address",
    "opted_out": "opted out",
    "control_strings": "control strings",
    "short_answer": "answer too short",
    "too_long": "too long",
    "repetition": "answer repeats itself",
    "turn_language": "answer in another language",
    "prompt_language": "prompt in another language",
}
WITHHELD = ("harm", "personal", "adult")  # never quoted: a report is passed around


def reason_title(reason: str) -> str:
    """A reason in words; one that has none is read as it is spelled."""
    return TITLES.get(reason, reason.replace("_", " "))


def is_withheld(reason: str) -> bool:
    """True where texts dropped for it must not stand in a report."""
    return any(word in reason.lower() for word in WITHHELD)
