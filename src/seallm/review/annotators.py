"""A name and a token in, an annotator who may come in out.

As long as nobody was invited, everybody who reaches the page may come in under any name. After the first invitation
only those invited may, each with a token. Tokens are 128 random bits, so their plain hash is enough to keep.
"""

import hashlib
import hmac
import secrets
import sqlite3
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from seallm.base.errors import DataError
from seallm.review.database import Database

MAX_NAME_CHARACTERS = 40
_NO_TOKEN = hashlib.sha256(secrets.token_bytes()).hexdigest()  # what a name that is not known is compared with


class NotAllowed(DataError):
    """The name or the token is wrong."""


@dataclass(frozen=True)
class Annotator:
    """Somebody who reviews.

    Attributes:
        name: as it is shown and exported.
        languages: the only ones they are asked about; empty: all.
    """

    name: str
    languages: tuple[str, ...] = ()


def clean_name(text: str) -> str:
    """The one spelling of a name.

    Raises:
        DataError: it is empty, too long, or has a colon or a control character.
    """
    name = " ".join(unicodedata.normalize("NFC", text).split())
    if not name:
        raise DataError("the name is empty; type the name that your judgements shall carry")
    if len(name) > MAX_NAME_CHARACTERS:
        raise DataError(f"the name has {len(name)} characters; expected at most {MAX_NAME_CHARACTERS}")
    if ":" in name or any(unicodedata.category(character) in ("Cc", "Cs") for character in name):
        raise DataError("the name has a colon or a control character; leave it out")
    return name


def invite(database: Database, name: str, languages: Sequence[str] = ()) -> str:
    """Let somebody in, or give them a new token in place of their old one.

    Returns:
        The token; only its hash is kept.

    Raises:
        DataError: the name cannot be used.
    """
    token = secrets.token_urlsafe(16)
    row = (clean_name(name), _hash(token), ",".join(languages))
    with database.writing() as connection:
        connection.execute("INSERT OR REPLACE INTO annotators VALUES (?, ?, ?)", row)
    return token


def is_invited_only(connection: sqlite3.Connection) -> bool:
    """True where tokens are asked for."""
    return connection.execute("SELECT 1 FROM annotators WHERE token_hash IS NOT NULL LIMIT 1").fetchone() is not None


def admit(connection: sqlite3.Connection, name: str, token: str) -> Annotator:
    """Find who it is; how long it takes does not tell how much of a token was right.

    Raises:
        DataError: the name cannot be used.
        NotAllowed: tokens are asked for, and this one is not the name's.
    """
    name = clean_name(name)
    row = connection.execute("SELECT token_hash, languages FROM annotators WHERE name = ?", (name,)).fetchone()
    if is_invited_only(connection):
        stored = row["token_hash"] if row and row["token_hash"] else _NO_TOKEN
        if not hmac.compare_digest(_hash(token), stored):
            raise NotAllowed("the name or the access token is wrong; ask whoever invited you")
    return Annotator(name, tuple(code for code in (row["languages"] if row else "").split(",") if code))


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
