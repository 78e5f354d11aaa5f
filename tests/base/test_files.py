import gzip
import json
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from seallm.base.errors import DataError
from seallm.base.files import (
    atomic_writer,
    file_fingerprint,
    files_under,
    fingerprint,
    read_json_lines,
    resolve_path,
    write_json,
    write_text,
)


def test_atomic_writer_leaves_the_old_file_when_the_block_fails(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(TypeError), atomic_writer(path) as file:
        file.writelines([b"new", "not bytes"])  # type: ignore[list-item]
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_atomic_writer_replaces(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.txt"
    write_text(path, "ສະບາຍດີ")
    assert path.read_text(encoding="utf-8") == "ສະບາຍດີ"


def test_equal_values_give_equal_bytes(tmp_path: Path) -> None:
    write_json(tmp_path / "a", {"b": 1, "a": {"d": 2, "c": 3}})
    write_json(tmp_path / "b", {"a": {"c": 3, "d": 2}, "b": 1})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_broken_lines_are_returned_in_their_place(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"a": 1}\n{"a": \n[1]\n\xff\xfe\n\n{"a": 2}\n')
    rows = dict(read_json_lines(path))
    assert rows[1] == {"a": 1}
    assert rows[6] == {"a": 2}
    assert [n for n, row in rows.items() if isinstance(row, DataError)] == [2, 3, 4]
    assert f"{path}:2" in str(rows[2])


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_packed_lines(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.jsonl{suffix}"
    data = b"".join(json.dumps({"n": n}).encode() + b"\n" for n in range(1000))
    if suffix == ".gz":
        path.write_bytes(gzip.compress(data))
    else:
        path.write_bytes(zstandard.compress(data))
    assert [row["n"] for _, row in read_json_lines(path) if isinstance(row, dict)] == list(range(1000))


def test_truncated_gzip_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"a": 1}\n' * 1000)[:-20])
    with pytest.raises(DataError, match="damaged archive"):
        list(read_json_lines(path))


def test_files_under(tmp_path: Path) -> None:
    for name in ("b.txt", "a.txt", ".hidden", "deep/c.txt", ".cache/d.txt", "deep/.git/e.txt"):
        write_text(tmp_path / name, "x")
    assert [p.name for p in files_under(tmp_path)] == ["a.txt", "b.txt", "c.txt"]
    assert [p.name for p in files_under(tmp_path / "*.txt")] == ["a.txt", "b.txt"]
    assert [p.name for p in files_under(tmp_path / "a.txt")] == ["a.txt"]
    with pytest.raises(DataError, match="nothing-here"):
        files_under(tmp_path / "nothing-here")


def test_sample_paths_lie_in_the_package(tmp_path: Path) -> None:
    assert resolve_path("sample:chat", tmp_path).is_dir()
    assert resolve_path("x/y", tmp_path) == tmp_path / "x" / "y"
    assert resolve_path("/x", tmp_path) == Path("/x")


def test_file_fingerprint_sees_content_not_name(tmp_path: Path) -> None:
    for name, text in (("a", "one"), ("b", "one"), ("c", "two")):
        write_text(tmp_path / name, text)
    prints = [file_fingerprint(tmp_path / name) for name in "abc"]
    assert prints[0] == prints[1] != prints[2]


def test_large_files_are_fingerprinted_by_their_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seallm.base.files.WHOLE_HASH_BYTES", 2**20)
    path = tmp_path / "a"
    path.write_bytes(b"x" * (3 * 2**20))
    before = file_fingerprint(path)
    path.write_bytes(b"x" * (3 * 2**20 - 1) + b"y")
    assert file_fingerprint(path) != before


@given(st.dictionaries(st.text(), st.integers() | st.text() | st.lists(st.integers())))
def test_fingerprint_ignores_order_of_keys(value: dict[str, object]) -> None:
    assert fingerprint(value) == fingerprint(dict(reversed(value.items())))


def pack_lines(ending: str) -> bytes:
    lines = b"".join(b'{"n": %d, "text": "%s"}\n' % (n, bytes(range(97, 123)) * 9) for n in range(9_000))
    return {".gz": gzip.compress, ".zst": zstandard.compress}[ending](lines)


@pytest.mark.parametrize("ending", [".gz", ".zst"])
def test_a_truncated_archive_is_not_taken_for_a_whole_one(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"rows.jsonl{ending}"
    path.write_bytes(pack_lines(ending)[:-5])
    with pytest.raises(DataError, match="is a damaged archive"):
        list(read_json_lines(path))


@pytest.mark.parametrize("ending", [".gz", ".zst"])
def test_all_parts_of_an_archive_are_read(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"rows.jsonl{ending}"
    path.write_bytes(pack_lines(ending) * 2)
    assert sum(1 for _ in read_json_lines(path)) == 18_000


def test_an_archive_of_garbage(tmp_path: Path) -> None:
    for name in ("rows.jsonl.gz", "rows.jsonl.zst"):
        (tmp_path / name).write_bytes(b"no archive" * 20)
        with pytest.raises(DataError, match="is a damaged archive"):
            list(read_json_lines(tmp_path / name))
