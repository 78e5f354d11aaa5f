import gzip
import io
import random
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from seallm.corpus import members
from seallm.corpus.raw_records import BadRecord, RawDocument, RawRecord, SkippedRecord
from seallm.corpus.warc import read_warc
from tests.corpus.pages import pack, warc_record

_PAGES = [f"<p>page {n} {'text ' * 40 * n}</p>".encode() for n in range(1, 5)]
_RECORDS = [warc_record(f"https://a.example/{n}", page) for n, page in enumerate(_PAGES)]


def read(folder: Path, content: bytes, name: str = "a.warc.gz") -> list[RawRecord]:
    path = folder / name
    path.write_bytes(content)
    with path.open("rb") as file:
        return list(read_warc(file, name, path.suffix))


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
    monkeypatch.setattr(members, "MAX_MEMBER_BYTES", 1_000)  # too large to hold: streamed
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


@pytest.mark.parametrize("content", [b"just text, no archive", gzip.compress(b"no record", mtime=0), b"\x1f\x8b\x08"])
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


def zstd_frame(record: bytes, dictionary: zstandard.ZstdCompressionDict | None = None) -> bytes:
    return zstandard.ZstdCompressor(dict_data=dictionary, write_checksum=True).compress(record)


@pytest.mark.parametrize("is_packed", [True, False])
def test_zstd_with_a_dictionary(tmp_path: Path, is_packed: bool) -> None:
    dictionary = zstandard.ZstdCompressionDict(b"".join(_RECORDS)[:2_000])
    content = zstandard.compress(dictionary.as_bytes()) if is_packed else dictionary.as_bytes()
    front = b"\x5d\x2a\x4d\x18" + len(content).to_bytes(4, "little") + content
    frames = [zstd_frame(record, dictionary) for record in _RECORDS]
    assert [r.page for r in read(tmp_path, front + b"".join(frames), "a.warc.zst")] == _PAGES
    frames[1] = frames[1][:-9]
    assert urls(read(tmp_path, front + b"".join(frames), "a.warc.zst")) == [f"https://a.example/{n}" for n in (0, 2, 3)]


def flip(member: bytes) -> bytes:
    middle = len(member) // 2
    return member[:middle] + bytes(byte ^ 0x5A for byte in member[middle : middle + 8]) + member[middle + 8 :]


_DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "flipped": flip,
    "wrong checksum": lambda member: member[:-8] + b"\0\0\0\0" + member[-4:],
    "truncated": lambda member: member[: len(member) * 2 // 3],
    "headless": lambda member: member[5:],
    "garbage in its place": lambda _: b"garbage \x1f\x8b\x08 and \x28\xb5\x2f\xfd more" * 3,
}


@pytest.mark.parametrize("damage", _DAMAGES)
@pytest.mark.parametrize(("name", "pack_one"), [("a.warc.gz", pack), ("a.warc.zst", zstd_frame)])
def test_every_second_member_damaged(
    tmp_path: Path, name: str, pack_one: Callable[[bytes], bytes], damage: str
) -> None:
    if damage == "wrong checksum" and name.endswith("zst"):
        pytest.skip("the checksum of zstd lies elsewhere; flipped bytes are tested")
    bulk = [b"", *(random.Random(size).randbytes(size) for size in (2_000, 150_000))]  # one that packs to more
    records = [warc_record(f"https://a.example/{n}", _PAGES[n % 4] + bulk[n % 3]) for n in range(9)]
    members = [pack_one(record) for record in records]
    members[1::2] = [_DAMAGES[damage](member) for member in members[1::2]]
    found = read(tmp_path, b"".join(members), name)
    assert urls(found) == [f"https://a.example/{n}" for n in range(0, 9, 2)]
    assert sum(isinstance(record, BadRecord) for record in found) == 4


@pytest.mark.parametrize(
    "damage",
    [
        lambda record: record[: len(record) // 2],
        lambda record: record[:60],
        lambda record: record.replace(b"Content-Length: ", b"Content-Length: 9"),
        lambda record: record.replace(b"Content-Length: ", b"Content-Length: 999999999999"),
        lambda record: record.replace(b"Content-Length", b"Content-Width"),
        lambda record: record.replace(b"WARC/1.0", b"WXYZ/1.0"),
        lambda _: b"garbage\0\r\n\r\n",
    ],
)
@pytest.mark.parametrize("name", ["a.warc", "a.warc.gz"])
def test_damage_in_a_plain_stream_costs_itself_only(
    tmp_path: Path, name: str, damage: Callable[[bytes], bytes]
) -> None:
    content = _RECORDS[0] + damage(_RECORDS[1]) + _RECORDS[2] + damage(_RECORDS[1]) + _RECORDS[3]
    found = read(tmp_path, content if name == "a.warc" else pack(content), name)
    assert urls(found) == [f"https://a.example/{n}" for n in (0, 2, 3)]
    assert sum(isinstance(record, BadRecord) for record in found) == 2


def test_a_file_that_its_name_calls_packed_and_is_not(tmp_path: Path) -> None:
    assert [r.page for r in read(tmp_path, b"".join(_RECORDS))] == _PAGES
    assert [r.page for r in read(tmp_path, pack(*_RECORDS), "a.warc")] == _PAGES


class Pipe(io.RawIOBase):
    """Gives what a generator makes, and can be read only once and forwards."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks, self._rest = blocks, b""

    def readable(self) -> bool:
        return True

    def readinto(self, target: Any) -> int:
        self._rest = self._rest or next(self._blocks, b"")
        count = min(len(target), len(self._rest))
        target[:count], self._rest = self._rest[:count], self._rest[count:]
        return count


def packed_apart(record: bytes, count: int) -> Iterator[bytes]:
    member = gzip.compress(record, compresslevel=0)
    return (member for _ in range(count))


def packed_together(record: bytes, count: int) -> Iterator[bytes]:
    packer = zlib.compressobj(0, wbits=31)
    for _ in range(count):
        yield packer.compress(record)
    yield packer.flush()


@pytest.mark.parametrize(("packed", "limit_megabytes"), [(packed_apart, 20), (packed_together, 100)])
def test_a_long_stream_needs_little_memory(
    packed: Callable[[bytes, int], Iterator[bytes]], limit_megabytes: int
) -> None:
    record = warc_record("https://a.example", b"<p>padi " * 2**17)
    tracemalloc.start()
    try:
        sizes = [
            len(r.page) for r in read_warc(Pipe(packed(record, 300)), "a") if isinstance(r, RawDocument) and r.page
        ]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert sizes == [2**20] * 300
    assert peak < limit_megabytes * 2**20
