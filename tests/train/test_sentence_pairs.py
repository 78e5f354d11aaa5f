from pathlib import Path

import pyarrow.parquet as pq
import pytest

from seallm.base.errors import DataError
from seallm.train.sentence_pairs import SENTENCES, write_pair_documents


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for half in ("dev", "test"):
        for code in ("en", "th", "lo"):
            lines = [f"{half} {code} {n}" for n in range(SENTENCES + 2)]
            (tmp_path / f"{half}.{code}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return tmp_path


def texts(folder: Path, *languages: str) -> dict[str, str]:
    write_pair_documents(folder, languages, folder / "out" / "pairs.parquet")
    rows = pq.read_table(folder / "out" / "pairs.parquet").to_pylist()
    return {row["id"]: row["text"] for row in rows}


def test_every_sentence_comes_once_in_each_direction(folder: Path) -> None:
    found = texts(folder, "en", "th", "lo", "vi")
    directions = ("en-th", "th-en", "en-lo", "lo-en")
    assert found.keys() == {f"dev.{d}:{n}" for d in directions for n in (1, SENTENCES + 1)}
    pairs = [f"English: dev en {n}\nไทย: dev th {n}" for n in (SENTENCES, SENTENCES + 1)]
    assert found[f"dev.en-th:{SENTENCES + 1}"] == "\n\n".join(pairs)
    assert found["dev.th-en:1"].startswith("ไทย: dev th 0\nEnglish: dev en 0\n\n")


def test_the_test_half_is_never_read(folder: Path) -> None:
    assert not any("test" in text for text in texts(folder, "en", "th").values())
    for path in folder.glob("test.*"):
        path.unlink()
    assert texts(folder, "en", "th")


def test_pairs_with_an_empty_side_are_left_out(folder: Path) -> None:
    lines = (folder / "dev.th.txt").read_text(encoding="utf-8").splitlines()
    (folder / "dev.th.txt").write_text("\n".join(["", *lines[1:]]) + "\n", encoding="utf-8")
    assert "en 0" not in texts(folder, "en", "th")["dev.en-th:1"]


def test_files_that_do_not_fit_together_are_named(folder: Path) -> None:
    with pytest.raises(DataError, match=r"dev\.en\.txt and dev\.<language>\.txt .*Found: dev\.en\.txt"):
        texts(folder, "en", "km")
    (folder / "dev.th.txt").write_text("one\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"dev\.th\.txt has 1 lines and dev\.en\.txt has"):
        texts(folder, "en", "th")
    (folder / "dev.th.txt").write_bytes(b"\xff\n")
    with pytest.raises(DataError, match=r"dev\.th\.txt is not UTF-8"):
        texts(folder, "en", "th")
