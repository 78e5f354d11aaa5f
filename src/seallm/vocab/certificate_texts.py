"""Scripts in, texts out for the certificate: every assigned character, random mixtures, code and digits."""

import functools
import random
import tomllib
from collections.abc import Sequence
from importlib import resources

from seallm.languages import Script
from seallm.vocab.scripts import assigned_characters

MAX_RANDOM_CHARACTERS = 40
_PLAIN = "abcdefghijklmnopqrstuvwxyz ABC 0123456789 .,;:!?'\"()[]{}<>/\\@#%&*+-=_|~^`$\n\t  é ß ñ “”’—… 😀 𝄞"


def random_texts(scripts: Sequence[Script], count: int, seed: int) -> list[str]:
    """Mixtures of the scripts' characters, keyboard characters and a few others, in runs of one kind."""
    source = random.Random(f"certificate-{seed}")
    alphabets: list[Sequence[str]] = [_PLAIN, *(assigned_characters(script) for script in scripts)]
    texts = []
    for _ in range(count):
        length, text = source.randint(1, MAX_RANDOM_CHARACTERS), ""
        while len(text) < length:
            text += "".join(source.choices(source.choice(alphabets), k=source.randint(1, 6)))
        texts.append(text)
    return texts


def character_tables(scripts: Sequence[Script]) -> list[str]:
    """Every assigned character of the scripts, 64 to a text."""
    characters = "".join(character for script in scripts for character in assigned_characters(script))
    return [characters[start : start + 64] for start in range(0, len(characters), 64)]


@functools.cache
def plain_samples() -> dict[str, list[str]]:
    """Short texts that ship with seallm by kind: `code`, `digits`, `english`."""
    text = resources.files("seallm.vocab").joinpath("plain_samples.toml").read_text(encoding="utf-8")
    found: dict[str, list[str]] = tomllib.loads(text)
    return found
