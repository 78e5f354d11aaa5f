import gzip
import zlib
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from seallm.corpus import warc
from seallm.corpus.raw_records import BadRecord, RawDocument, RawRecord, SkippedRecord
from seallm.corpus.warc import read_warc
from tests.corpus.pages import pack, warc_record

_PAGES = [f"<p>page {n} {'text ' * 40 * n}</p>".encode() for n in range(1, 5)]
_RECORDS = [warc_record(f"https://a.example/{n}", page) for n, page in enumerate(_PAGES)]


def read(folder: Path, content: bytes, name: str = "a.warc.gz") -> list[RawRecord]:
    path = folder / name
    path.write_bytes(content)
    return list(read_warc(path, name))


def urls(records: list[RawRecord]) -> list[str | None]:
    return [record.url for record in records if isinstance(record, RawDocument)]


def test_fields_of_a_page(tmp_path: Path) -> None:
    (record,) = read(tmp_path, pack(_RECORDS[0]))
    assert record == RawDocument(
        where="a.warc.gz@0",
        page=_PAGES[0],
        encoding="utf-8",
        id="urn:uuid:https://a.example/0",
        url="https://a.example/0",
    )


@pytest.mark.parametrize("name", ["a.warc", "a.warc.gz", "a.warc.zst", "b.wet.gz"])
def test_all_packings(tmp_path: Path, name: str) -> None:
    plain = b"".join(_RECORDS)
    content = {"gz": pack(*_RECORDS), "zst": zstandard.compress(plain)}.get(name.split(".")[-1], plain)
    assert [r.page for r in read(tmp_path, content, name)] == _PAGES


def test_a_file_packed_as_one_member(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = pack(b"".join(_RECORDS))
    assert len(urls(read(tmp_path, content))) == 4
    monkeypatch.setattr(warc, "MAX_MEMBER_BYTES", 1_000)  # too large to hold: streamed
    assert len(urls(read(tmp_path, content))) == 4


def test_a_truncated_member_costs_itself_only(tmp_path: Path) -> None:
    members = [pack(record) for record in _RECORDS]
    members[1] = members[1][: len(members[1]) // 2]
    records = read(tmp_path, b"".join(members))
    assert urls(records) == ["https://a.example/0", "https://a.example/2", "https://a.example/3"]
    (bad,) = (r for r in records if isinstance(r, BadRecord))
    assert bad.where == f"a.warc.gz@{len(members[0])}"
    assert bad.reason.startswith("damaged gzip member")


def test_a_truncated_file(tmp_path: Path) -> None:
    *_, last = records = read(tmp_path, pack(*_RECORDS)[:-20])
    assert len(urls(records)) == 3
    assert last.reason == "damaged gzip member: the file ends within it"


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_damage_anywhere_costs_one_record(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    members = [pack(record) for record in _RECORDS]
    number = data.draw(st.integers(0, 3))
    at = data.draw(st.integers(0, len(members[number]) - 1))
    kind = data.draw(st.sampled_from(["flip", "cut", "insert"]))
    member = members[number]
    members[number] = {
        "flip": member[:at] + bytes([member[at] ^ 0xA5]) + member[at + 1 :],
        "cut": member[:at],
        "insert": member[:at] + b"\x1f\x8b\x08\x00garbage" + member[at:],
    }[kind]
    records = read(tmp_path_factory.mktemp("warc"), b"".join(members))
    others = [f"https://a.example/{n}" for n in range(4) if n != number]
    assert [url for url in urls(records) if url != f"https://a.example/{number}"] == others
    is_whole, is_gone = len(urls(records)) == 4, kind == "cut" and at == 0
    assert is_whole or is_gone or any(isinstance(r, BadRecord) for r in records)


def test_damage_in_streams_is_told(tmp_path: Path) -> None:
    plain = b"".join(_RECORDS)
    for name, content in {"a.warc": plain[:-100], "a.warc.zst": zstandard.compress(plain)[:-30]}.items():
        records = read(tmp_path, content, name)
        assert urls(records) == [f"https://a.example/{n}" for n in range(len(urls(records)))]
        assert any(isinstance(r, BadRecord) for r in records), name


@pytest.mark.parametrize("content", [b"just text, no archive", gzip.compress(b"no record"), b"\x1f\x8b\x08"])
def test_no_warc_at_all(tmp_path: Path, content: bytes) -> None:
    (record,) = read(tmp_path, content)
    assert isinstance(record, BadRecord)


def test_records_that_hold_no_page_are_counted_by_kind(tmp_path: Path) -> None:
    records = read(
        tmp_path,
        pack(
            warc_record("a", b"", kind="warcinfo", content_type="application/warc-fields"),
            warc_record("b", b"gone", status="404 Not Found"),
            warc_record("c", b"\x89PNG", content_type="image/png"),
            warc_record("d", b"no header", kind="request", content_type="application/http"),
        ),
    )
    kinds = ["WARC warcinfo", "HTTP status 404", "content type image/png", "WARC request"]
    assert records == [SkippedRecord(kind) for kind in kinds]


def test_plain_text_and_wet(tmp_path: Path) -> None:
    text = "Teks biasa é"
    plain, wet = read(
        tmp_path,
        pack(
            warc_record("a", text.encode("latin-1"), content_type="text/plain; charset=iso-8859-1"),
            warc_record("b", text.encode(), kind="conversion", content_type="text/plain"),
        ),
    )
    assert (plain.text, wet.text) == (text, text)


def test_packed_bodies_are_unpacked(tmp_path: Path) -> None:
    body = b"<p>packed</p>" * 20
    packed = [
        warc_record("a", gzip.compress(body), more="Content-Encoding: gzip\r\n"),
        warc_record("b", zlib.compress(body), more="Content-Encoding: deflate\r\n"),
        warc_record("c", b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body), more="Transfer-Encoding: chunked\r\n"),
    ]
    assert [r.page for r in read(tmp_path, pack(*packed))] == [body] * 3


def test_a_body_that_is_not_what_it_says_costs_itself_only(tmp_path: Path) -> None:
    bad = warc_record("a", b"not gzip", more="Content-Encoding: gzip\r\n")
    records = read(tmp_path, pack(bad, _RECORDS[0]))
    assert isinstance(records[0], BadRecord)
    assert urls(records) == ["https://a.example/0"]
