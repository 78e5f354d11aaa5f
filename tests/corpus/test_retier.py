import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from seallm.base.artifacts import Artifact
from seallm.base.errors import DataError, RecipeError
from seallm.corpus.build import run
from seallm.corpus.retier import retier
from seallm.recipe_corpus import Corpus
from tests.corpus.small_crawl import content, context, variant, write_crawl
from tests.corpus.small_tables import QUIET

SETTINGS: dict[str, Any] = {"inputs": ["."], "high_sources": ["archive"], "held_out_share": 0.1}
ROOT = Path(__file__).parents[2]


def finished(crawl: Path, folder: Path, **changes: Any) -> Path:
    artifact = Artifact("corpus", folder, "mark")
    made = context(crawl, artifact.open_partial())
    run(Corpus(**(SETTINGS | changes)), made)
    artifact.finish({"counts": made.counts})
    return folder


@pytest.fixture(scope="module")
def crawl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("retier") / "crawl"
    write_crawl(folder)
    doubled = [{"id": "twice", "text": variant("en", n)} for n in (20, 21)]
    (folder / "more.jsonl").write_text("".join(json.dumps(row) + "\n" for row in doubled), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def corpus(crawl: Path) -> Path:
    return finished(crawl, crawl.parent / "corpus")


def without_manifest(folder: Path) -> dict[str, bytes]:
    return {name: data for name, data in content(folder).items() if name != "manifest.json"}


@pytest.mark.parametrize(
    "changes", [{}, {"high_share": 0.2}, {"held_out_share": 0.5, "high_sources": ["*.example"]}, {"high_share": 1.0}]
)
def test_equals_a_build_with_these_settings(crawl: Path, corpus: Path, tmp_path: Path, changes: dict[str, Any]) -> None:
    funnel = retier(corpus, changes, tmp_path / "changed", QUIET)
    built = finished(crawl, tmp_path / "built", **changes)
    assert without_manifest(tmp_path / "changed") == without_manifest(built)
    assert funnel == json.loads((built / "funnel.json").read_text())


def test_thresholds_drop_documents_and_bring_them_back(corpus: Path, tmp_path: Path) -> None:
    strict = retier(corpus, {"th.min_units": 100_000}, tmp_path / "strict", QUIET)
    assert strict is not None
    assert strict["th"]["short"] == strict["th"]["read"]
    assert "short" not in strict["ms"]
    assert pq.read_table(tmp_path / "strict" / "documents" / "th.high.parquet").num_rows == 0
    retier(tmp_path / "strict", {"th.min_units": 60}, tmp_path / "back", QUIET)
    assert without_manifest(tmp_path / "back") == without_manifest(corpus)
    loose = retier(corpus, {"min_units": 0}, tmp_path / "loose", QUIET)
    assert loose is not None
    assert "short" not in loose["en"]


def test_near_duplicates_are_found_anew(corpus: Path, tmp_path: Path) -> None:
    funnel = retier(corpus, {"near_duplicate_similarity": 1.0}, tmp_path / "all", QUIET)
    assert funnel is not None
    assert "near_duplicate" not in funnel["en"]
    assert funnel["en"]["exact_duplicate"] == 1


def test_the_manifest_names_the_changes(corpus: Path, tmp_path: Path) -> None:
    retier(corpus, {"high_share": 0.0}, tmp_path / "new", QUIET)
    manifest = json.loads((tmp_path / "new" / "manifest.json").read_text())
    assert manifest["retier"] == {"high_share": 0.0}
    assert manifest["counts"]["skipped"] == {"HTTP status 404": 1}
    assert retier(corpus, {"high_share": 0.0}, tmp_path / "new", QUIET) is None


@pytest.mark.parametrize("moment", [30, 75])
def test_killed_and_run_again_it_writes_the_same_bytes(corpus: Path, tmp_path: Path, moment: int) -> None:
    retier(corpus, {"high_share": 0.2}, tmp_path / "whole", QUIET)
    code = (
        "import sys; from pathlib import Path; from tests.corpus.small_crawl import _kill_at;"
        "from tests.corpus.small_tables import QUIET; from seallm.corpus.retier import retier;"
        f"_kill_at({moment}); retier(Path(sys.argv[1]), {{'high_share': 0.2}}, Path(sys.argv[2]), QUIET)"
    )
    killed = subprocess.run([sys.executable, "-c", code, corpus, tmp_path / "killed"], cwd=ROOT, check=False)
    assert killed.returncode == -9
    assert not (tmp_path / "killed").exists()
    retier(corpus, {"high_share": 0.2}, tmp_path / "killed", QUIET)
    assert without_manifest(tmp_path / "killed") == without_manifest(tmp_path / "whole")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"minhash_shingle_units": 3}, "nothing that can be changed without reading the raw input again"),
        ({"fr.min_units": 3}, "nothing that can be changed"),
        ({"high_share": 2}, "between 0 and 1"),
        ({"min_units": "many"}, "must be a number"),
        ({"high_sources": "wiki"}, "must be a list"),
    ],
)
def test_changes_that_cannot_be_made(corpus: Path, tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        retier(corpus, changes, tmp_path / "new", QUIET)


def test_folders_that_cannot_be_used(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not a finished stage"):
        retier(tmp_path, {}, tmp_path / "new", QUIET)
    with pytest.raises(RecipeError, match="cannot be written over"):
        retier(corpus, {}, corpus, QUIET)
    with pytest.raises(DataError, match="No document is left"):
        retier(corpus, {"min_units": 10**9}, tmp_path / "none", QUIET)
