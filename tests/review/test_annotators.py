"""Names and tokens."""

import pytest

from seallm.base.errors import DataError
from seallm.review.annotators import Annotator, NotAllowed, admit, clean_name, invite, is_invited_only
from seallm.review.database import Database


def come(database: Database, name: str, token: str = "") -> Annotator:
    with database.reading() as connection:
        return admit(connection, name, token)


def test_names_have_one_spelling() -> None:
    assert clean_name("  Ngu\u0079\u0065\u0302\u0303n \t Thị ") == "Nguy\u1ec5n Thị"
    assert clean_name("ສົມ\u200bໃຈ") == "ສົມ\u200bໃຈ"


@pytest.mark.parametrize("name", ["", "   ", "\u3000", "a:b", "a\x00b", "\x1b[2J", "x" * 41, "\ud800"])
def test_bad_names(name: str) -> None:
    with pytest.raises(DataError):
        clean_name(name)


def test_everybody_comes_in_until_somebody_is_invited(database: Database) -> None:
    assert come(database, " Ann ") == Annotator("Ann")
    token = invite(database, "สมชาย", ["th", "lo"])
    with database.reading() as connection:
        assert is_invited_only(connection)
    assert come(database, "สมชาย", token) == Annotator("สมชาย", ("th", "lo"))
    for name, sent in (("Ann", ""), ("Ann", token), ("สมชาย", ""), ("สมชาย", token[:-1]), ("สมชาย", token + "\ud800")):
        with pytest.raises(NotAllowed):
            come(database, name, sent)


def test_a_second_invitation_replaces_the_token(database: Database) -> None:
    old, new = invite(database, "Ann"), invite(database, "Ann", ["km"])
    assert come(database, "Ann", new).languages == ("km",)
    with pytest.raises(NotAllowed):
        come(database, "Ann", old)


def test_tokens_are_not_kept(database: Database) -> None:
    token = invite(database, "Ann")
    database.close()
    assert all(token.encode() not in file.read_bytes() for file in database.path.parent.iterdir())
