from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seallm.base.errors import DataError
from seallm.vocab.texts import corpus_texts, parallel_sentences


def write(folder: Path, name: str, texts: list[str | None]) -> None:
    (folder / "documents").mkdir(exist_ok=True)
    pq.write_table(pa.table({"id": [str(k) for k in range(len(texts))], "text": texts}), folder / "documents" / name)


def test_high_tier_first_up_to_the_limit(tmp_path: Path) -> None:
    write(tmp_path, "th.low.parquet", ["l" * 400])
    write(tmp_path, "th.high.parquet", ["กข", "", None, "h" * 400])
    assert list(corpus_texts(tmp_path, "th", 1.0)) == ["กข", "h" * 400, "l" * 400]
    assert list(corpus_texts(tmp_path, "th", 300e-6)) == ["กข", "h" * 400]


def test_a_language_without_text_is_named(tmp_path: Path) -> None:
    write(tmp_path, "lo.high.parquet", [])
    with pytest.raises(DataError, match=r"The corpus has no text in 'lo' .*lo\.high\.parquet and lo\.low\.parquet"):
        list(corpus_texts(tmp_path, "lo", 1.0))


def test_a_file_that_is_no_table_is_named(tmp_path: Path) -> None:
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "th.high.parquet").write_text("no table")
    with pytest.raises(DataError, match=r"th\.high\.parquet is not a Parquet table"):
        list(corpus_texts(tmp_path, "th", 1.0))


def test_a_table_without_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "documents").mkdir()
    pq.write_table(pa.table({"id": ["1"]}), tmp_path / "documents" / "th.high.parquet")
    with pytest.raises(DataError, match=r"th\.high\.parquet is not a Parquet table of documents with a `text` column"):
        list(corpus_texts(tmp_path, "th", 1.0))


def parallel(folder: Path, **files: bytes) -> Path:
    for language, content in files.items():
        (folder / f"dev.{language}.txt").write_bytes(content)
    return folder


def test_sentences_are_lines(tmp_path: Path) -> None:
    folder = parallel(tmp_path, en="1\u2028still 1\n2\n".encode(), th="หนึ่ง\r\nสอง".encode())
    wanted = {"en": ["1\u2028still 1", "2"], "th": ["หนึ่ง", "สอง"]}
    assert parallel_sentences(folder, "dev", ["en", "th"]) == wanted


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"1\n2\n3\n", r"dev\.th\.txt has 3 lines and dev\.en\.txt has 2"),
        (b"1\n\n", r"dev\.th\.txt:2 is empty"),
        (b"1\n\xff\n", r"dev\.th\.txt is not UTF-8: byte 2 is 0xff"),
        (b"", r"dev\.th\.txt:1 is empty"),
    ],
)
def test_files_that_do_not_fit_are_named(tmp_path: Path, content: bytes, message: str) -> None:
    folder = parallel(tmp_path, en=b"1\n2\n", th=content)
    with pytest.raises(DataError, match=message):
        parallel_sentences(folder, "dev", ["en", "th"])


def test_a_missing_file_is_named_with_those_there(tmp_path: Path) -> None:
    folder = parallel(tmp_path, en=b"1\n")
    with pytest.raises(DataError, match=r"dev\.lo\.txt does not exist \(found: dev\.en\.txt\)"):
        parallel_sentences(folder, "dev", ["en", "lo"])
