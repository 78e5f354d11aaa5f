"""Every error that a user can cause. Anything else that escapes is a bug of ours and keeps its traceback.

    SeallmError
    |-- RecipeError       a setting is unknown, of the wrong type, or contradicts another
    |-- DataError         an input file or record cannot be used
    |-- VocabError        a tokenizer cannot be extended, or its certificate failed
    |-- ModelError        a model folder is incomplete or does not fit what is asked of it
    |-- CheckpointError   a saved training state is damaged or belongs to another run
    |-- ProcessError      processes that train together could not start, or one of them ended
    |-- WorkspaceError    a folder cannot be written, is full, or is in use by another process
    |-- EndpointError     a model's server cannot be reached, refuses us, or answers what no such server answers
    `-- MissingExtra      an optional dependency is not installed

A message says what was found (value, file, line), what was expected, and what to do next.
"""

import errno

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NO_ACCESS = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST}


class SeallmError(Exception):
    """Base of all errors that a user can cause and mend."""


class RecipeError(SeallmError):
    """A setting is unknown, of the wrong type, or contradicts another."""


class DataError(SeallmError):
    """An input file or record cannot be used."""


class VocabError(SeallmError):
    """A tokenizer cannot be extended, or its certificate failed."""


class ModelError(SeallmError):
    """A model folder is incomplete or does not fit what is asked of it."""


class CheckpointError(SeallmError):
    """A saved training state is damaged or belongs to another run."""


class ProcessError(SeallmError):
    """Processes that work together could not start, or one of them ended."""


class WorkspaceError(SeallmError):
    """A folder cannot be written, is full, or is in use by another process."""


class EndpointError(SeallmError):
    """A model's server cannot be reached, refuses us, or answers what no such server answers."""


class MissingExtra(SeallmError):
    """An optional dependency is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"{package} is not installed. Install it with: pip install 'seallm[{extra}]'")
        self._parts = (package, extra)

    def __reduce__(self) -> tuple[type["MissingExtra"], tuple[str, str]]:
        """Workers send it to their parent."""
        return MissingExtra, self._parts


def workspace_error(error: OSError) -> WorkspaceError | None:
    """Say a full disk or an unwritable folder in one line; None where the cause is another."""
    name = error.filename2 or error.filename  # a finished file that cannot take its place has both
    place = f" {name}" if name else ""
    if error.errno in _NO_SPACE:
        return WorkspaceError(
            f"No space left while writing{place} ({error.strerror}). Free some space, or give another --workspace, "
            "and run the same command again: what is finished is kept."
        )
    if error.errno in _NO_ACCESS:
        return WorkspaceError(
            f"Cannot write{place} ({error.strerror}). Name a place that you may write, with --out or --workspace."
        )
    return None
