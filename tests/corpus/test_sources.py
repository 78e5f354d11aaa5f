import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from seallm.base.errors import DataError
from seallm.corpus.raw_records import BadRecord, RawDocument, RawRecord, SkippedRecord
from seallm.corpus.sources import read_documents, source_of_file

_ROW = {"id": "7", "text": "Padi", "url": "https://a.example", "source": "news", "licence": "CC0"}


def read(path: Path, content: bytes) -> list[RawRecord]:
    path.write_bytes(content)
    return list(read_documents(path, path.name))


def read_table(path: Path, table: pa.Table) -> list[RawRecord]:
    pq.write_table(table, path)
    return list(read_documents(path, path.name))


@pytest.mark.parametrize("ending", ["jsonl", "jsonl.gz", "jsonl.zst", "ndjson"])
def test_json_lines(tmp_path: Path, ending: str) -> None:
    content = (json.dumps(_ROW) + "\n\n" + json.dumps({"text": "ข้าว", "license": "MIT", "other": [1]}) + "\n").encode()
    pack = {"gz": gzip.compress, "zst": zstandard.compress}.get(ending.split(".")[-1], bytes)
    assert read(tmp_path / f"a.{ending}", pack(content)) == [
        RawDocument(f"a.{ending}:1", **_ROW),
        RawDocument(f"a.{ending}:3", text="ข้าว", licence="MIT"),
    ]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"text": "half', "not a JSON object"),
        (b"[1, 2]", "a JSON list, not an object"),
        (b'{"text": "\xff\xfe"}', "not a JSON object ('utf-8' codec can't decode"),
        (b'{"id": "1", "body": "x"}', "no `text` string in this row: found only id, body"),
        (b'{"text": null}', "no `text` string in this row: found a NoneType"),
        (b'{"text": 5}', "no `text` string in this row: found a int"),
        (b"{}", "no `text` string in this row: found only nothing"),
        (b"[" * 100_000, "not a JSON object (maximum recursion depth"),
    ],
)
def test_a_bad_line_costs_itself_only(tmp_path: Path, line: bytes, reason: str) -> None:
    before, bad, after = read(tmp_path / "a.jsonl", b'{"text": "one"}\n' + line + b'\n{"text": "two"}\n')
    assert (before.text, after.text) == ("one", "two")
    assert isinstance(bad, BadRecord)
    assert bad.where == "a.jsonl:2"
    assert bad.reason.startswith(reason)


def test_a_byte_order_mark_costs_no_line(tmp_path: Path) -> None:
    (record,) = read(tmp_path / "a.jsonl", b'\xef\xbb\xbf{"text": "one"}\n')
    assert record.text == "one"


def test_lone_surrogates_become_visible(tmp_path: Path) -> None:
    (record,) = read(tmp_path / "a.jsonl", b'{"text": "x\\ud800", "url": "\\udc00", "id": 12}')
    assert (record.text, record.url, record.id) == ("x\ufffd", "\ufffd", "12")


@pytest.mark.parametrize("ending", ["gz", "zst"])
def test_a_truncated_archive_keeps_the_lines_before(tmp_path: Path, ending: str) -> None:
    lines = b"".join(b'{"text": "%d %s"}\n' % (n, bytes(range(97, 123)) * 50) for n in range(5_000))
    packed = {"gz": gzip.compress, "zst": zstandard.compress}[ending](lines)
    *good, bad = read(tmp_path / f"a.jsonl.{ending}", packed[: len(packed) * 3 // 4])
    assert len(good) > 1_000
    assert all(isinstance(record, RawDocument) for record in good[:-1])
    assert isinstance(bad, BadRecord)
    assert "the archive is damaged here" in bad.reason
    assert str(tmp_path) not in bad.reason


def test_parquet(tmp_path: Path) -> None:
    rows = {"text": ["Padi", None, ""], "id": [1, 2, 3], "license": ["CC0", None, None], "extra": [1.0, 2.0, 3.0]}
    one, bad, empty = read_table(tmp_path / "a.parquet", pa.table(rows))
    assert one == RawDocument("a.parquet:1", text="Padi", id="1", licence="CC0")
    assert bad == BadRecord("a.parquet:2", "no `text` string in this row: found a NoneType")
    assert empty.text == ""


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())]
)
def test_parquet_strings_of_all_kinds(tmp_path: Path, kind: pa.DataType) -> None:
    table = pa.table({"text": pa.array(["ข้าว", "padi", "ข้าว"]).cast(kind)})
    assert [r.text for r in read_table(tmp_path / "a.parquet", table)] == ["ข้าว", "padi", "ข้าว"]


def test_parquet_row_that_is_not_utf8_costs_itself_only(tmp_path: Path) -> None:
    content = pa.array([b"one", b"\xff\xfe", b"three"], pa.binary())
    column = pa.Array.from_buffers(pa.string(), 3, content.buffers())
    one, bad, three = read_table(tmp_path / "a.parquet", pa.table({"text": column}))
    assert (one.text, three.text) == ("one", "three")
    assert bad.reason.startswith("not valid UTF-8")


@pytest.mark.parametrize("columns", [{"content": ["a"]}, {"text": [1]}, {"text": [["a"]]}])
def test_parquet_without_texts_is_an_error(tmp_path: Path, columns: dict[str, list[object]]) -> None:
    with pytest.raises(DataError, match=r"a\.parquet has no column `text` of strings; it has .*Name the right one"):
        read_table(tmp_path / "a.parquet", pa.table(columns))


def test_damaged_parquet(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": [f"text {n}" for n in range(5_000)]}), path, compression="zstd")
    content = path.read_bytes()
    (bad,) = read(path, content[:-200])
    assert bad.reason.startswith("not a Parquet file")
    records = read(path, content[:500] + b"\0" * 4_000 + content[4_500:])
    assert isinstance(records[-1], BadRecord)
    assert records[-1].reason.startswith("damaged Parquet file after row 0")


def test_html_and_text_files(tmp_path: Path) -> None:
    assert read(tmp_path / "a.html", b"<p>x") == [RawDocument("a.html", page=b"<p>x")]
    assert read(tmp_path / "a.htm.gz", gzip.compress(b"<p>x")) == [RawDocument("a.htm.gz", page=b"<p>x")]
    assert read(tmp_path / "a.txt", "ข้าว\n".encode("cp874") * 20)[0].text == "ข้าว\n" * 20
    assert read(tmp_path / "b.md", b"one\n\ntwo") == [RawDocument("b.md", text="one\n\ntwo")]


def test_texts_about_a_data_set_are_no_documents(tmp_path: Path) -> None:
    for name in ("README.md", "LICENSE.txt"):
        (tmp_path / name).write_text("Licence: CC0", encoding="utf-8")
        assert list(read_documents(tmp_path / name, name)) == [SkippedRecord("texts about the data")]


def test_a_truncated_page(tmp_path: Path) -> None:
    (bad,) = read(tmp_path / "a.html.gz", gzip.compress(b"<p>x" * 100)[:-8])
    assert bad.reason.startswith("damaged archive")


@pytest.mark.parametrize("name", ["a.jsonl", "a.warc.gz", "a.parquet", "a.html", "a.txt", "a.jsonl.gz"])
def test_an_empty_file(tmp_path: Path, name: str) -> None:
    assert read(tmp_path / name, b"") == [BadRecord(name, "the file is empty")]


@pytest.mark.parametrize("name", ["a.pdf", "README", "a.jsonl.bz2", ".gz"])
def test_an_unknown_kind_of_file(tmp_path: Path, name: str) -> None:
    (bad,) = read(tmp_path / name, b"x")
    assert bad.reason.startswith("unknown kind of file")


def test_source_of_a_file() -> None:
    assert source_of_file(Path("/data/wiki.th.jsonl.gz")) == "wiki"


_FOREIGN = {"text": "content", "id": "doc_id", "url": "meta.url", "licence": "meta.rights.name", "source": "publisher"}
_FOREIGN_ROW = {
    "content": "ຂ້າວ",
    "doc_id": 7,
    "meta": {"url": "https://a.example", "rights": {"name": "CC BY 4.0"}},
    "publisher": "Pasaxon",
    "text": "not this",
}
_FOREIGN_DOCUMENT = {
    "text": "ຂ້າວ",
    "id": "7",
    "url": "https://a.example",
    "licence": "CC BY 4.0",
    "source": "Pasaxon",
}


def test_foreign_columns_of_json_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in (_FOREIGN_ROW, {"content": "x", "meta": None}, {"text": "y"})))
    one, two, bad = read_documents(path, "a.jsonl", _FOREIGN)
    assert one == RawDocument("a.jsonl:1", **_FOREIGN_DOCUMENT)
    assert two == RawDocument("a.jsonl:2", text="x")
    assert bad == BadRecord("a.jsonl:3", "no `content` string in this row: found only text")


def test_foreign_columns_of_parquet(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.Table.from_pylist([_FOREIGN_ROW, {**_FOREIGN_ROW, "meta": None, "content": None}]), path)
    one, bad = read_documents(path, "a.parquet", _FOREIGN)
    assert one == RawDocument("a.parquet:1", **_FOREIGN_DOCUMENT)
    assert bad == BadRecord("a.parquet:2", "no `content` string in this row: found a NoneType")


def test_a_column_with_a_dot_in_its_name(tmp_path: Path) -> None:
    row = {"meta.url": "https://b.example", "meta": {"url": "https://a.example"}, "text": "x"}
    (tmp_path / "a.jsonl").write_text(json.dumps(row))
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "a.parquet")
    for name in ("a.jsonl", "a.parquet"):
        (record,) = read_documents(tmp_path / name, name, {"url": "meta.url"})
        assert record.url == "https://b.example"


@pytest.mark.parametrize("field", ["text", "url", "licence"])
@pytest.mark.parametrize("column", ["body", "meta.address", "content.x"])
def test_an_unknown_column_is_an_error_that_names_those_there(tmp_path: Path, field: str, column: str) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps(_FOREIGN_ROW) + "\n")
    pq.write_table(pa.Table.from_pylist([_FOREIGN_ROW]), tmp_path / "a.parquet")
    for name in ("a.jsonl", "a.parquet"):
        with pytest.raises(DataError, match=rf"{name} has no column `{column}`.* for {field}; .*meta\.rights\.name"):
            list(read_documents(tmp_path / name, name, {field: column}))


def test_licences_in_a_list(tmp_path: Path) -> None:
    (record,) = read(tmp_path / "a.jsonl", b'{"text": "x", "license": ["mit", "bsd"]}')
    assert record.licence == "mit, bsd"
