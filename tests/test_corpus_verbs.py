"""`seallm corpus ...` as a user types it."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from seallm.base.errors import DataError
from seallm.corpus_verbs import app
from tests.corpus.small_crawl import LANGUAGES, rows, variant, write_crawl

OTHER_PASSAGE = "Another passage that no document of this crawl holds, long as it may be, and longer still."
PASSAGE = "A sentence of a benchmark that is long enough to count as a passage, and that stands in one document alone."


@pytest.fixture(scope="module")
def crawl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs") / "crawl"
    write_crawl(folder)
    extra = {"id": "leak", "text": f"{variant('en', 8)} {PASSAGE}"}
    (folder / "leak.jsonl").write_text(json.dumps(extra) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def corpus(crawl: Path) -> Path:
    """Built with several values after one option."""
    exams = [crawl.parent / "one.json", crawl.parent / "two.json"]
    for exam, text in zip(
        exams, (PASSAGE, "Another passage that no document of this crawl holds, long as it may be."), strict=True
    ):
        exam.write_text(json.dumps([text]), encoding="utf-8")
    out = crawl.parent / "corpus"
    files = sorted(map(str, crawl.iterdir()))
    options = ["--languages", ", ".join(LANGUAGES), "--workers", "1", "--decontaminate", *map(str, exams)]
    result = CliRunner().invoke(app, ["build", "--input", *files, "--out", str(out), *options])
    assert result.exit_code == 0, result.output
    assert "Written to" in result.stdout
    return out


def test_it_builds_without_a_recipe(corpus: Path) -> None:
    assert {row["language"] for row in rows(corpus, "documents/*.parquet")} == set(LANGUAGES)
    assert {"id", "url", "text", "language", "tier", "reason"} <= set(rows(corpus, "dropped/*.parquet")[0])
    assert "leak" in {row["id"] for row in rows(corpus, "dropped/*.parquet") if row["reason"] == "benchmark"}
    assert json.loads((corpus / "manifest.json").read_text(encoding="utf-8"))["counts"]["kept"] > 10


def test_what_is_finished_is_not_done_again(crawl: Path, corpus: Path) -> None:
    manifest = (corpus / "manifest.json").stat().st_mtime_ns
    files = sorted(map(str, crawl.iterdir()))
    exams = [str(crawl.parent / "one.json"), str(crawl.parent / "two.json")]
    options = ["--languages", ",".join(LANGUAGES), "--workers", "1", "--decontaminate", *exams]
    result = CliRunner().invoke(app, ["build", "--input", *files, "--out", str(corpus), *options])
    assert "Already finished" in result.stdout
    assert (corpus / "manifest.json").stat().st_mtime_ns == manifest


def test_the_output_may_not_lie_in_the_input(crawl: Path) -> None:
    with pytest.raises(DataError, match="lies in the input"):
        CliRunner().invoke(
            app, ["build", "--input", str(crawl), "--out", str(crawl / "corpus")], catch_exceptions=False
        )
    assert not (crawl / "corpus").exists()


def test_why(corpus: Path) -> None:
    result = CliRunner().invoke(app, ["why", str(corpus), "leak"])
    assert "outcome     dropped for benchmark" in result.stdout


def test_retier(corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "stricter"
    result = CliRunner().invoke(
        app, ["retier", str(corpus), "--out", str(out), "--set", "high_share=0.0", "--workers", "1"]
    )
    assert result.exit_code == 0, result.output
    assert not rows(out, "documents/*.high.parquet")
    assert len(rows(out, "documents/*.parquet")) == len(rows(corpus, "documents/*.parquet"))


def test_report(corpus: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    result = CliRunner().invoke(app, ["report", str(corpus), "--out", str(page)])
    assert result.exit_code == 0, result.output
    assert "benchmark" in page.read_text(encoding="utf-8")


def test_fit(tmp_path: Path) -> None:
    lines = [json.dumps({"text": variant("en", number)}) for number in range(60)]
    (tmp_path / "trusted.jsonl").write_text("\n".join(lines), encoding="utf-8")
    result = CliRunner().invoke(app, ["fit", "--reference", str(tmp_path / "trusted.jsonl"), "--languages", "en"])
    assert result.exit_code == 0, result.output
    assert "[quality]" in result.stdout
