"""An export's folder: it appears whole or not at all; `seallm-export.json` says what it is and what was checked."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from seallm import __version__
from seallm.base.errors import DataError, WorkspaceError
from seallm.base.files import write_json

RECORD = "seallm-export.json"
_FULL = ("no space left", "os error 28", "disk quota", "file too large", " requested and ")


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """A hidden folder to write into, which becomes `out` when the block ends well and vanishes when it does not.

    Raises:
        DataError: `out` holds something else than an export.
        WorkspaceError: the disk is full.
    """
    refuse_foreign(out)
    partial, old = (out.with_name(f".{out.name}.{end}") for end in ("partial", "old"))
    for leftover in (partial, old):
        shutil.rmtree(leftover, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
    except BaseException as error:
        shutil.rmtree(partial, ignore_errors=True)
        # each library has an error type of its own for a full disk
        if any(sign in str(error).lower() for sign in _FULL):
            raise WorkspaceError(f"No space left while writing {out}; nothing of it is kept. Free some space") from None
        raise
    if out.exists():
        out.rename(old)
    partial.rename(out)
    with suppress(FileNotFoundError):
        shutil.rmtree(old)


def refuse_foreign(out: Path) -> None:
    """See that a folder may be written: it does not exist, is empty, or holds an earlier export.

    Raises:
        DataError: it holds something else.
    """
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / RECORD).is_file())):
        raise DataError(f"{out} exists and is no export of seallm (it has no {RECORD}); give another --out")


def write_record(folder: Path, form: str, model: str, facts: dict[str, Any]) -> None:
    """Say what the folder is."""
    files = {path.name: path.stat().st_size for path in sorted(folder.iterdir()) if path.name != RECORD}
    write_json(folder / RECORD, {"format": form, "model": model, "seallm": __version__, "file_bytes": files, **facts})
