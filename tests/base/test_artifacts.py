import json
import subprocess
import sys
from pathlib import Path

import pytest

from seallm.base.artifacts import Artifact, locked, read_manifest, stage_fingerprint
from seallm.base.errors import DataError, WorkspaceError


@pytest.fixture
def artifact(tmp_path: Path) -> Artifact:
    return Artifact("corpus", tmp_path / "02-corpus", "abc")


def finish(artifact: Artifact, text: str) -> None:
    (artifact.open_partial() / "result.txt").write_text(text)
    artifact.finish({"counts": {}})


def test_a_finished_folder_has_its_manifest_and_nothing_else(artifact: Artifact) -> None:
    assert not artifact.is_finished()
    finish(artifact, "x")
    assert artifact.is_finished()
    assert sorted(p.name for p in artifact.folder.iterdir()) == ["manifest.json", "result.txt"]
    assert read_manifest(artifact.folder)["stage"] == "corpus"
    assert not artifact.partial.exists()


def test_another_fingerprint_is_not_finished(artifact: Artifact) -> None:
    finish(artifact, "x")
    assert not Artifact("corpus", artifact.folder, "other").is_finished()


def test_partial_work_of_the_same_fingerprint_is_continued(artifact: Artifact) -> None:
    (artifact.open_partial() / "half").write_text("1")
    assert (artifact.open_partial() / "half").exists()


def test_half_written_files_of_a_killed_run_go(tmp_path: Path) -> None:
    artifact = Artifact("corpus", tmp_path / "corpus", "same")
    (artifact.open_partial() / "part").mkdir()
    (artifact.partial / "part" / ".result.json.123.tmp").write_text("ha")
    assert list((artifact.open_partial() / "part").iterdir()) == []


def test_partial_work_of_another_fingerprint_is_thrown_away(artifact: Artifact) -> None:
    (artifact.open_partial() / "half").write_text("1")
    assert not (Artifact("corpus", artifact.folder, "other").open_partial() / "half").exists()


def test_a_new_result_replaces_the_old_one_whole(artifact: Artifact) -> None:
    finish(artifact, "old")
    newer = Artifact("corpus", artifact.folder, "newer")
    finish(newer, "new")
    assert (newer.folder / "result.txt").read_text() == "new"
    assert not newer.folder.with_name("02-corpus.stale").exists()


def test_a_kill_before_the_rename_is_recovered(artifact: Artifact) -> None:
    finish(artifact, "old")
    newer = Artifact("corpus", artifact.folder, "newer")
    (newer.open_partial() / "result.txt").write_text("new")
    (newer.partial / "manifest.json").write_text(json.dumps({"fingerprint": "newer"}))
    newer.folder.rename(newer.folder.with_name("02-corpus.stale"))  # killed just here
    newer.recover()
    assert newer.is_finished()
    assert (newer.folder / "result.txt").read_text() == "new"


def test_a_manifest_of_other_settings_is_not_recovered(artifact: Artifact) -> None:
    (artifact.open_partial() / "manifest.json").write_text(json.dumps({"fingerprint": "other"}))
    artifact.recover()
    assert not artifact.is_finished()


def test_a_run_folder_has_one_user_at_a_time(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from seallm.base.artifacts import locked\n"
        "with locked(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(WorkspaceError, match="in use"), locked(tmp_path):
            pass
        holder.kill()
    with locked(tmp_path):
        pass


def test_reading_an_unfinished_folder_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not a finished stage"):
        read_manifest(tmp_path)


def test_stage_fingerprint_depends_on_each_part() -> None:
    base = ("corpus", 1, {"a": 1}, {"base": "x"}, 7)
    others = [("vocab", *base[1:]), (*base[:1], 2, *base[2:]), (*base[:2], {"a": 2}, *base[3:])]
    others += [(*base[:3], {"base": "y"}, 7), (*base[:4], 8)]
    prints = {stage_fingerprint(*values) for values in [base, *others]}  # type: ignore[arg-type]
    assert len(prints) == 6
