"""Numbers, free text and settings in; the short strings of the report out.

Free text comes from documents and models, so it may hold anything: what HTML, JSON or UTF-8 cannot carry is replaced
here, and escaping is left to the one place that does it for all (Jinja2's autoescape).
"""

import json
import math
import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any

# for the templates
WORDS = ("byte_size", "change", "count", "label", "plural", "quantity", "signed", "signed_share", "span")
NOTHING = "–"
EXCERPT_CHARACTERS = 180
_KHMER_SUBSCRIPT, _MYANMAR_STACKER = "\u17d2", "\u1039"  # the letter after them is drawn below the one before


def count(value: float | None) -> str:
    """`12345` -> `12,345`."""
    return NOTHING if value is None else f"{value:,.0f}"


def byte_size(value: float | None) -> str:
    """`61234` -> `61 kB`."""
    if value is None:
        return NOTHING
    for size, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value:.0f} bytes"


def plural(number: int, noun: str) -> str:
    """`1 step`, `2 steps`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def quantity(value: float | None, unit: str, *, digits: int | None = None) -> str:
    """One figure in its unit: a share as per cent, a ratio with a cross, bits with three decimals."""
    if value is None:
        return NOTHING
    decimals = decimals_of(unit, value) if digits is None else digits
    if unit == "share":
        return f"{_minus(100 * value, decimals)}\u202f%"
    return _minus(value, decimals) + ("×" if unit == "ratio" else "")


def decimals_of(unit: str, value: float) -> int:
    """How many decimals a figure has in its unit; short times have more."""
    if unit == "seconds":
        return 3 if abs(value) < 0.1 else 2 if abs(value) < 10 else 1
    return {"ratio": 2, "bits": 3}.get(unit, 1)


def signed(value: float | None, unit: str) -> str:
    """A difference with its sign: `+1.8 %`, `+0.8`."""
    if value is None or unit == "share":
        return signed_share(value)
    text = quantity(value, unit)
    return text if text.startswith("−") else f"+{text}"


def span(low: float | None, high: float | None, unit: str, *, digits: int | None = None) -> str:
    """The two ends of an interval, the unit once: `78.1–85.9 %`."""
    if low is None or high is None:
        return NOTHING
    ends = [quantity(end, unit, digits=digits) for end in (low, high)]
    join = " to " if low < 0 else "–"
    return ends[0].removesuffix("\u202f%").removesuffix("×") + join + ends[1]


def change(before: float | None, after: float | None) -> str:
    """Relative change with its sign: `−42 %`."""
    if before is None or after is None or before == 0:
        return NOTHING
    return signed_share(after / before - 1)


def signed_share(value: float | None) -> str:
    """A share with its sign, as per cent: `+1.8 %`."""
    if value is None:
        return NOTHING
    digits = 0 if abs(value) >= 0.0995 else 1
    text = _minus(100 * value, digits)
    return f"{'' if text.startswith('−') else '+'}{text}\u202f%"


def _minus(value: float, digits: int) -> str:
    text = f"{value:,.{digits}f}"
    zero = not any(c in "123456789" for c in text)
    return text.lstrip("-") if zero else text.replace("-", "−")


def finite(value: object) -> float | None:
    """The number, or None where there is none that can be drawn."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def label(key: str) -> str:
    """`near_duplicate` -> `near duplicate`."""
    return clean(key).replace("_", " ").replace("-", " ").strip()


def carriable(value: Any) -> Any:
    """A JSON value whose every text is clean and whose every number is finite; other numbers become None."""
    if isinstance(value, Mapping):
        return {clean(key): carriable(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [carriable(entry) for entry in value]
    if isinstance(value, str):
        return clean(value)
    return value if isinstance(value, int) else finite(value)


def clean(text: object) -> str:
    """Text without what a page cannot carry: lone surrogates and control characters become U+FFFD."""
    readable = str(text).encode("utf-8", "replace").decode("utf-8")
    return "".join(c if c in "\n\t" or unicodedata.category(c) != "Cc" else "\ufffd" for c in readable)


def excerpt(text: str, limit: int = EXCERPT_CHARACTERS) -> str:
    """The beginning of a document on one line, cut at a space if one is near, never between a letter and its marks."""
    line = " ".join(clean(text[: 8 * limit]).split())
    if len(line) <= limit:
        return line
    space = line.rfind(" ", limit - 15, limit + 1)
    end = space if space > 0 else limit
    while end < len(line) and _joins(line, end):
        end += 1
    return line[:end].rstrip() + (" …" if end < len(line) else "")


def _joins(line: str, position: int) -> bool:
    """True where the character at `position` is drawn with the one before it."""
    before = line[position - 1]
    stacked = before in (_KHMER_SUBSCRIPT, _MYANMAR_STACKER) or before == "\u200d"
    return stacked or unicodedata.category(line[position]).startswith("M") or line[position] == "\u200d"


def toml_text(values: Mapping[str, Any]) -> str:
    """Settings as TOML; what is absent (None) is left out. `tomllib` reads back what was given."""
    return "\n".join(_toml_section(values, "")).strip() + "\n"


def _toml_section(values: Mapping[str, Any], path: str) -> Iterator[str]:
    plain = {k: v for k, v in values.items() if v is not None and not _is_nested(v)}
    for key, value in plain.items():
        yield f"{_toml_key(key)} = {_toml_value(value)}"
    for key, value in values.items():
        place = f"{path}{_toml_key(key)}"
        if isinstance(value, Mapping):
            yield from ("", f"[{place}]")
            yield from _toml_section(value, f"{place}.")
        elif _is_nested(value):
            for entry in value:
                yield from ("", f"[[{place}]]")
                yield from _toml_section(entry, f"{place}.")


def _is_nested(value: object) -> bool:
    tables = isinstance(value, list | tuple) and bool(value) and all(isinstance(v, Mapping) for v in value)
    return isinstance(value, Mapping) or tables


def _toml_key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _toml_value(key)


def _toml_value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml_value(v) for v in value) + "]"
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else ("inf" if value > 0 else "-inf")
    if isinstance(value, int | float):
        return repr(value)
    text = str(value).encode("utf-8", "replace").decode("utf-8")
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
