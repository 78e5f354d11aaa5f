import errno
from pathlib import Path

import pytest

from seallm.base.errors import MissingExtra, SeallmError, WorkspaceError, workspace_error
from seallm.base.files import write_text


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_said_in_one_line(code: int) -> None:
    error = workspace_error(OSError(code, "full", "/runs/x"))
    assert isinstance(error, WorkspaceError)
    assert "No space left" in str(error)
    assert "/runs/x" in str(error)
    assert "\n" not in str(error)


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST])
def test_an_unwritable_folder_is_said_in_one_line(code: int) -> None:
    assert "--workspace" in str(workspace_error(OSError(code, "no", "/runs/x")))


def test_a_file_cannot_take_the_place_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(OSError) as error:
        write_text(tmp_path / "out", "x")
    assert f"Cannot write {tmp_path / 'out'} (" in str(workspace_error(error.value))


def test_other_causes_are_not_hidden() -> None:
    assert workspace_error(OSError(errno.EIO, "broken", "/x")) is None


def test_all_errors_have_one_base() -> None:
    assert issubclass(WorkspaceError, SeallmError)
    assert "seallm[ray]" in str(MissingExtra("ray", "ray"))
