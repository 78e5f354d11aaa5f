"""A text and the languages a policy has in, the one it is written in out: by script, then by frequent words.

Good enough to choose a system prompt, and no more: a text without a known word gets the first language of its script.
"""

import re
from collections import Counter
from collections.abc import Sequence

from seallm.languages import load_language

_RANGES = {
    "thai": ((0x0E00, 0x0E7F),),
    "lao": ((0x0E80, 0x0EFF),),
    "khmer": ((0x1780, 0x17FF),),
    "myanmar": ((0x1000, 0x109F), (0xA9E0, 0xA9FF), (0xAA60, 0xAA7F)),
    "han": ((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0x20000, 0x3134F)),
    "latin": ((0x41, 0x5A), (0x61, 0x7A), (0xC0, 0x24F), (0x1E00, 0x1EFF)),
}
_WORD = re.compile(r"[^\W\d_]+")
MAX_CHARACTERS = 2_000  # that are looked at


def choose_language(text: str, codes: Sequence[str]) -> str:
    """One of `codes`; the first of them where the text says nothing.

    Args:
        text: what a person wrote.
        codes: at least one language code, the one to prefer first.
    """
    text = text[:MAX_CHARACTERS]
    scripts = Counter(script for character in text if (script := _script(character)))
    if not scripts:
        return codes[0]
    script = max(scripts, key=lambda name: scripts[name])
    fitting = [code for code in codes if script in load_language(code).scripts]
    if len(fitting) < 2:
        return fitting[0] if fitting else codes[0]
    words = Counter(_WORD.findall(text.lower()))
    return max(fitting, key=lambda code: sum(words[word] for word in _known_words(code)))


def _script(character: str) -> str | None:
    point = ord(character)
    for script, ranges in _RANGES.items():
        if any(low <= point <= high for low, high in ranges):
            return script
    return None


def _known_words(code: str) -> set[str]:
    language = load_language(code)
    return {*language.stop_words, *language.telling_words}
