"""A teacher that can be foretold: it translates letter by letter into Thai or Lao, as its task says, and back."""

import re

from tests.endpoints.scripted_server import Json, question

FIRST_LETTERS = {"Thai": 0x0E01, "Lao": 0x0E81}
LAO = "ກຂຄງຈຊຍດຕຖທນບປຜຝພຟມຢຣລວສຫອ"
_KEPT = re.compile(r"⟦\d+⟧|[^A-Za-z]+|[A-Za-z]+")


def letters_of(language: str) -> str:
    return LAO if language == "Lao" else "".join(chr(0x0E01 + n) for n in range(26))


def to(language: str, text: str, names: tuple[str, ...] = ()) -> str:
    """Each English letter becomes a letter of the language; names stay."""
    table = str.maketrans("abcdefghijklmnopqrstuvwxyz", letters_of(language))
    words = (w if w in names or "⟦" in w else w.lower().translate(table) for w in _KEPT.findall(text))
    return "".join(words)


def back(text: str) -> str:
    for language in FIRST_LETTERS:
        text = text.translate(str.maketrans(letters_of(language), "abcdefghijklmnopqrstuvwxyz"))
    return text


def translator(body: Json) -> str:
    """What a translator that makes no mistake answers."""
    head, _, text = question(body).partition("\n\n")
    language = re.search(r"into (\w+)", head)
    if language is None or language[1] == "English":
        return back(text)
    listed = re.search(r"Leave these names as they are written: ([^\n]+)\.", head)
    return to(language[1], text, tuple(listed[1].split(", ")) if listed else ())
