"""Every kind of input through fsspec: an in-memory file system stands for a bucket; it is a real one, not a mock."""

import gzip
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from seallm.base.errors import DataError, MissingExtra
from seallm.base.places import (
    open_place,
    place_fingerprint,
    place_label,
    place_name,
    place_size,
    place_suffixes,
    places_under,
    resolve_place,
)
from seallm.corpus.raw_records import BadRecord, RawDocument
from seallm.corpus.sources import read_documents, source_of_file
from tests.corpus.pages import pack, warc_record


@pytest.fixture
def bucket() -> Iterator[fsspec.AbstractFileSystem]:
    system = fsspec.filesystem("memory")
    system.store.clear()
    yield system
    system.store.clear()


def test_files_folders_and_globs(bucket: fsspec.AbstractFileSystem) -> None:
    for name in ("a/2.txt", "a/1.jsonl.gz", "a/.hidden", "a/.cache/5.txt", "a/deep/3.txt", "b/4.txt"):
        bucket.pipe(f"/{name}", b"x")
    assert places_under("memory://a") == [f"memory:///a/{n}" for n in ("1.jsonl.gz", "2.txt", "deep/3.txt")]
    assert places_under("memory://a/*.txt") == ["memory:///a/2.txt"]
    assert places_under("memory://**/*.txt") == [f"memory:///{n}" for n in ("a/2.txt", "a/deep/3.txt", "b/4.txt")]
    assert places_under("memory://b/4.txt") == ["memory:///b/4.txt"]
    with pytest.raises(DataError, match="No file at memory://c"):
        places_under("memory://c")


def test_local_places(tmp_path: Path) -> None:
    (tmp_path / "ข้าว 1.txt").write_text("x")
    place = resolve_place((tmp_path / "ข้าว 1.txt").as_uri(), Path("elsewhere"))
    assert place == tmp_path / "ข้าว 1.txt"
    assert places_under(tmp_path) == [place]
    assert resolve_place("a.txt", tmp_path) == tmp_path / "a.txt"
    assert resolve_place("s3://bucket/a.txt", tmp_path) == "s3://bucket/a.txt"
    assert (place_size(place), place_name(place), place_suffixes(place)) == (1, "ข้าว 1.txt", [".txt"])


def test_names_of_urls() -> None:
    url = "https://user:secret@a.example:8080/crawl/a%20b.WARC.gz?Signature=secret#x"
    assert place_name(url) == "a b.WARC.gz"
    assert place_suffixes(url) == [".warc", ".gz"]
    assert place_label(url) == "https://a.example:8080/crawl/a%20b.WARC.gz"
    assert source_of_file(url) == "a b"


@pytest.mark.parametrize("name", ["a.warc", "a.warc.gz", "a.warc.zst", "a.jsonl.gz", "a.parquet", "a.html", "a.txt"])
def test_every_kind_is_read_as_from_a_disk(bucket: fsspec.AbstractFileSystem, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    record = warc_record("https://a.example", b"<p>padi")
    rows = [{"text": f"padi {n}", "id": str(n)} for n in range(3_000)]
    lines = "".join(json.dumps(row) + "\n" for row in rows).encode()
    if name.endswith("parquet"):
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        contents = {".warc": record * 2, ".warc.gz": pack(record, record), ".warc.zst": zstandard.compress(record)}
        contents |= {".jsonl.gz": gzip.compress(lines), ".html": b"<p>padi", ".txt": b"padi"}
        path.write_bytes(contents[name[1:]])
    bucket.pipe(f"/in/{name}", path.read_bytes())
    (url,) = places_under("memory://in")
    records = list(read_documents(url, name))
    assert records == list(read_documents(path, name))
    assert all(isinstance(record, RawDocument) for record in records)


def test_damage_is_told_as_from_a_disk(bucket: fsspec.AbstractFileSystem) -> None:
    bucket.pipe("/a.jsonl.gz", gzip.compress(b'{"text": "x"}\n' * 9)[:-9])
    bucket.pipe("/b.txt", b"")
    assert isinstance(list(read_documents("memory://a.jsonl.gz", "a"))[-1], BadRecord)
    assert list(read_documents("memory://b.txt", "b")) == [BadRecord("b", "the file is empty")]


def test_a_fingerprint_changes_with_the_file_and_reads_nothing(bucket: fsspec.AbstractFileSystem) -> None:
    bucket.pipe("/a.txt", b"one")
    before = place_fingerprint("memory://a.txt")
    assert place_fingerprint("memory://a.txt") == before
    bucket.pipe("/a.txt", b"two")
    assert place_fingerprint("memory://a.txt") != before
    assert place_size("memory://a.txt") == 3


class TaggedBucket(fsspec.AbstractFileSystem):
    """Tells a checksum and a time of its only file, as S3 does."""

    protocol = "tagged"
    about: ClassVar[dict[str, object]] = {}

    def info(self, path: str, **_: object) -> dict[str, object]:
        return {"name": path, "type": "file", "size": 1, **self.about}


def test_a_checksum_counts_and_the_time_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    fsspec.register_implementation("tagged", TaggedBucket, clobber=True)
    marks = []
    for tag, time in (("a", 1), ("a", 2), ("b", 2), ("", 2), ("", 3)):
        monkeypatch.setattr(TaggedBucket, "about", {"ETag": tag, "LastModified": time})
        marks.append(place_fingerprint("tagged://bucket/a.txt"))
    assert marks[0] == marks[1]
    assert len(set(marks)) == 4


@pytest.mark.parametrize(
    ("url", "package", "extra"),
    [("s3://bucket/a", "s3fs", "s3"), ("gs://b/a", "gcsfs", "gs"), ("az://b", "adlfs", "az")],
)
def test_a_missing_package_is_named(url: str, package: str, extra: str) -> None:
    try:
        __import__(package)
    except ImportError:
        with pytest.raises(MissingExtra, match=rf"{package} is not installed.*pip install 'seallm\[{extra}\]'"):
            places_under(url)


def test_an_unknown_protocol() -> None:
    with pytest.raises(DataError, match="foo://a cannot be read: Protocol not known: foo"):
        places_under("foo://a")


def test_a_file_that_is_gone_is_an_error_not_a_bad_record(bucket: fsspec.AbstractFileSystem) -> None:
    for name in ("a.jsonl", "a.parquet", "a.warc.gz"):
        with pytest.raises(DataError, match=rf"memory://{name} cannot be read .*credentials"):
            list(read_documents(f"memory://{name}", name))
    with pytest.raises(DataError, match="cannot be read"):
        place_fingerprint("memory://a.txt")


def test_a_connection_that_breaks_is_an_error_not_a_bad_record(
    bucket: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = pa.table({"text": [f"padi {n}" for n in range(9)]})
    with bucket.open("/a.parquet", "wb") as file:
        pq.write_table(rows, file)
    bucket.pipe("/a.jsonl.gz", gzip.compress(b'{"text": "x"}\n' * 9))
    bucket.pipe("/a.warc.gz", pack(warc_record("https://a.example", b"<p>padi")))

    def fail(self: object, *_: object) -> bytes:
        raise OSError("connection reset")

    monkeypatch.setattr(fsspec.implementations.memory.MemoryFile, "read", fail)
    for name in ("a.parquet", "a.jsonl.gz", "a.warc.gz"):
        with pytest.raises(DataError, match="connection reset"):
            list(read_documents(f"memory://{name}", name))


def test_open_place_can_be_searched(bucket: fsspec.AbstractFileSystem) -> None:
    bucket.pipe("/a.bin", bytes(range(100)))
    with open_place("memory://a.bin") as file:
        file.seek(-2, os.SEEK_END)
        assert (file.read(), file.tell()) == (b"bc", 100)
