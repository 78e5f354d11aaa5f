"""Addresses, keys and prices as users write them."""

from pathlib import Path

import pytest

from seallm.base.errors import EndpointError
from seallm.endpoints.address import KEY_VARIABLE, Address, parse_address, read_api_key
from seallm.endpoints.metering import Price, estimated_tokens, parse_price


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("http://gpu:8000/v1#org/sea-8b", Address("http://gpu:8000/v1", "org/sea-8b")),
        ("https://host/v1/", Address("https://host/v1")),
        ("https://host/api/v1/chat/completions#a:free", Address("https://host/api/v1", "a:free")),
    ],
)
def test_addresses(text: str, address: Address) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize(
    "text", ["http://", "https:///v1", "ftp://host", "https://me:secret@host/v1", "http://h/v1?key=x"]
)
def test_no_addresses(text: str) -> None:
    with pytest.raises(EndpointError) as error:
        parse_address(text)
    assert "secret" not in str(error.value)


def test_servers_here_are_known_as_such() -> None:
    here = ("http://localhost:1/v1", "http://127.0.0.1:1/v1", "http://[::1]:1/v1")
    assert [parse_address(text).is_here for text in (*here, "http://gpu/v1")] == [True, True, True, False]


def test_keys_come_from_where_they_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    assert read_api_key() is None
    monkeypatch.setenv(KEY_VARIABLE, " sk-1 ")
    key = read_api_key()
    assert key is not None
    assert key.header == "Bearer sk-1"
    (tmp_path / "key").write_text("sk-2\n")
    found = read_api_key(f"file:{tmp_path / 'key'}")
    assert found is not None
    assert found.header == "Bearer sk-2"


@pytest.mark.parametrize("source", ["sk-typed-by-mistake", "env:", "env:NOT_SET_AT_ALL", "file:/nowhere", "file:{two}"])
def test_no_keys(source: str, tmp_path: Path) -> None:
    (tmp_path / "two").write_text("two words")
    with pytest.raises(EndpointError) as error:
        read_api_key(source.format(two=tmp_path / "two"))
    assert "typed-by-mistake" not in str(error.value) or source.startswith(("env", "file"))


def test_prices() -> None:
    assert parse_price("0.15 / 0.6") == Price(0.15, 0.6)
    with pytest.raises(EndpointError, match=r"0\.15/0\.60"):
        parse_price("cheap")


def test_guesses_are_not_too_low() -> None:
    assert estimated_tokens("Hello there, friend") == 5
    assert estimated_tokens("สวัสดี") == 6
    assert estimated_tokens("") == 0
