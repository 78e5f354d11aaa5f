import errno

import pytest

from seallm.base.errors import MissingExtra, SeallmError, WorkspaceError, workspace_error


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_said_in_one_line(code: int) -> None:
    error = workspace_error(OSError(code, "full", "/runs/x"))
    assert isinstance(error, WorkspaceError)
    assert "No space left" in str(error)
    assert "/runs/x" in str(error)
    assert "\n" not in str(error)


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS, errno.ENOTDIR])
def test_an_unwritable_folder_is_said_in_one_line(code: int) -> None:
    assert "--workspace" in str(workspace_error(OSError(code, "no", "/runs/x")))


def test_other_causes_are_not_hidden() -> None:
    assert workspace_error(OSError(errno.EIO, "broken", "/x")) is None


def test_all_errors_have_one_base() -> None:
    assert issubclass(WorkspaceError, SeallmError)
    assert "seallm[ray]" in str(MissingExtra("ray", "ray"))
