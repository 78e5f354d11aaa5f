"""Rows of every kind of file, sound and broken: each comes out as a row or as a bad row with its place."""

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seallm.chat_data.row_files import BadRow, is_about, read_rows

ROWS = [{"prompt": f"ถาม {n}", "completion": f"Answer {n}"} for n in range(3)]


def read(path: Path) -> tuple[list[dict[str, Any]], list[BadRow]]:
    rows = [row for _, row in read_rows(path, path.name)]
    return [r for r in rows if isinstance(r, dict)], [r for r in rows if isinstance(r, BadRow)]


def lines(rows: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def write_arrow(path: Path, rows: list[dict[str, Any]]) -> None:
    table = pa.Table.from_pylist(rows)
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table)


def test_json_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(lines(ROWS[:1]) + b"{broken\n[1]\n\n" + lines(ROWS[1:])))
    good, bad = read(path)
    assert good == ROWS
    assert [b.where for b in bad] == ["a.jsonl.gz:2", "a.jsonl.gz:3"]
    assert "not a JSON object" in bad[0].reason


def test_a_truncated_archive_gives_the_rows_before_the_break(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(lines(ROWS))[:-9])
    good, bad = read(path)
    assert good == ROWS[: len(good)]
    assert "damaged" in bad[-1].reason


@pytest.mark.parametrize("wrap", [lambda rows: rows, lambda rows: {"version": 1, "data": rows}])
def test_json_arrays_and_objects_with_one(tmp_path: Path, wrap: Any) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(wrap(ROWS), ensure_ascii=False, indent=2), encoding="utf-8-sig")
    assert read(path) == (ROWS, [])


def test_json_lines_that_are_called_json(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(lines(ROWS))
    assert read(path) == (ROWS, [])


def test_a_single_conversation_is_not_taken_for_its_turns(tmp_path: Path) -> None:
    row = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}
    (tmp_path / "a.json").write_text(json.dumps(row))
    assert read(tmp_path / "a.json") == ([row], [])


def test_a_json_array_that_breaks_off_gives_the_rows_before(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    whole = json.dumps([*ROWS[:1], 7, *ROWS[1:]], ensure_ascii=False)
    path.write_text(whole[:-10], encoding="utf-8")
    good, bad = read(path)
    assert good == ROWS[:2]
    assert [b.reason.split(" (")[0] for b in bad] == ["a JSON int, not an object", "not JSON from here on"]


def test_csv(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    head = 'prompt,completion\n"two\nlines, quoted",yes\nonly one field\na,b,c\n'
    path.write_bytes(b"\xef\xbb\xbf" + head.encode() + b"bad \xff byte,x\nlast,row\n")
    good, bad = read(path)
    assert good == [{"prompt": "two\nlines, quoted", "completion": "yes"}, {"prompt": "last", "completion": "row"}]
    reasons = [b.reason for b in bad]
    assert reasons == ["1 fields where the header has 2", "3 fields where the header has 2", "not valid UTF-8"]
    assert json.dumps([b.row for b in bad])


def test_parquet_with_a_string_that_is_not_utf8(tmp_path: Path) -> None:
    broken = pa.array([b"good", b"bad \xff", b"fine"], pa.binary()).view(pa.string())
    pq.write_table(pa.table({"prompt": broken, "completion": ["a", "b", "c"]}), tmp_path / "a.parquet")
    good, bad = read(tmp_path / "a.parquet")
    assert [row["prompt"] for row in good] == ["good", "fine"]
    assert [b.where for b in bad] == ["a.parquet:2"]


def test_files_that_are_none(tmp_path: Path) -> None:
    for name, content in (("a.parquet", b"PAR1 no"), ("a.arrow", b"ARROW1 no"), ("b.arrow", b"")):
        (tmp_path / name).write_bytes(content)
        good, bad = read(tmp_path / name)
        assert not good
        assert "damaged after row 0" in bad[0].reason
    (tmp_path / "a.xlsx").write_bytes(b"")
    assert "must end in one of .jsonl" in read(tmp_path / "a.xlsx")[1][0].reason


def test_the_arrow_files_of_a_saved_data_set(tmp_path: Path) -> None:
    write_arrow(tmp_path / "data-00000-of-00001.arrow", ROWS)
    assert read(tmp_path / "data-00000-of-00001.arrow") == (ROWS, [])
    table = pa.Table.from_pylist(ROWS)
    with pa.OSFile(str(tmp_path / "file.arrow"), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)
    assert read(tmp_path / "file.arrow") == (ROWS, [])
    about = ("state.json", "dataset_info.json", "cache-1f.arrow", "README.md", "LICENSE", "a.dropped.jsonl")
    assert all(is_about(tmp_path / name) for name in about)
    assert not is_about(tmp_path / "data-00000-of-00001.arrow")
