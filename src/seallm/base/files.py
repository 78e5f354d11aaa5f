"""Files that appear whole or not at all, JSON lines, and fingerprints of inputs.

A file is written beside its place under a hidden temporary name, flushed to disk, and renamed. A crash therefore leaves
either the old file or the new one. `sample:` paths name the data that ships with the package.
"""

import gzip
import hashlib
import io
import json
import os
import platform
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from importlib import resources
from pathlib import Path, PurePath
from typing import IO, Any

from seallm.base.errors import DataError

WHOLE_HASH_BYTES = 64 * 2**20
ARCHIVE_ERRORS = (EOFError, gzip.BadGzipFile, zlib.error)  # what reading a damaged file of `open_binary` raises
SAMPLE_PREFIX = "sample:"


@contextmanager
def atomic_writer(path: Path) -> Iterator[IO[bytes]]:
    """Open a binary file that replaces `path` when the block ends well, and vanishes when it does not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # on storage that machines share, a process id alone is not unique; nor is it where threads write the same file
    writer = f"{platform.node()}.{os.getpid()}.{threading.get_ident()}"
    temporary = path.parent / f".{path.name}.{writer}.tmp"
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with suppress(FileNotFoundError):
            temporary.unlink()
        raise


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    with atomic_writer(path) as file:
        file.write(text.encode("utf-8"))


def write_json(path: Path, value: object) -> None:
    """Write one JSON value, keys sorted, atomically: equal values give equal bytes."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True) + "\n")


def write_json_lines(path: Path, rows: Iterable[object]) -> None:
    """Write one JSON value a line, atomically."""
    with atomic_writer(path) as file:
        for row in rows:
            file.write((json.dumps(row, ensure_ascii=False) + "\n").encode("utf-8"))


def read_json(path: Path) -> Any:
    """Read one JSON value.

    Raises:
        DataError: the file is missing or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{path} does not exist") from None
    except ValueError as error:
        raise DataError(f"{path} is not valid JSON: {error}") from None


def open_binary(path: Path) -> IO[bytes]:
    """Open for reading; `.gz` and `.zst` are unpacked on the way.

    Raises:
        ARCHIVE_ERRORS: on reading, where the archive is damaged or ends too early.
    """
    return unpacked(path.open("rb"), path.suffix)


def unpacked(file: IO[bytes], suffix: str) -> IO[bytes]:
    """What a file's bytes unpack to, for the suffixes `.gz` and `.zst`; else the file. Closing it closes the file.

    Raises:
        ARCHIVE_ERRORS: on reading, where the archive is damaged or ends too early.
    """
    if suffix == ".gz":
        return io.BufferedReader(_GzipFile(file))
    if suffix == ".zst":
        return io.BufferedReader(_ZstandardFile(file))
    return file


class _GzipFile(gzip.GzipFile):
    """A gzip file that closes the file it reads from."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(fileobj=file, mode="rb")
        self._packed = file

    def close(self) -> None:
        super().close()
        self._packed.close()


class _ZstandardFile(io.RawIOBase):
    """All frames of a `.zst` file; unlike zstandard's own reader, it does not take a truncated file for a whole one."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._frame: Any = None
        self._packed = self._unpacked = b""

    def readable(self) -> bool:
        return True

    def readinto(self, target: Any) -> int:
        while not self._unpacked:
            packed = self._packed or self._file.read(2**17)
            if not packed and self._frame is not None:
                raise EOFError("Compressed file ended before the end of its last frame")
            if not packed:
                return 0
            self._unpacked, self._packed = self._unpack(packed)
        count = min(len(target), len(self._unpacked))
        target[:count], self._unpacked = self._unpacked[:count], self._unpacked[count:]
        return count

    def _unpack(self, packed: bytes) -> tuple[bytes, bytes]:
        import zstandard

        self._frame = self._frame or zstandard.ZstdDecompressor().decompressobj()
        try:
            unpacked = self._frame.decompress(packed)
        except zstandard.ZstdError as error:
            raise EOFError(f"Compressed file is damaged: {error}") from None
        rest = self._frame.unused_data if self._frame.eof else b""
        self._frame = None if self._frame.eof else self._frame
        return unpacked, rest

    def close(self) -> None:
        self._file.close()
        super().close()


def read_json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any] | DataError]]:
    """Yield (line number, object); a broken line yields a DataError in its place, so that nothing is lost unseen.

    Raises:
        DataError: the file is missing or is a damaged archive.
    """
    try:
        with open_binary(path) as file:
            yield from parse_json_lines(file, str(path))
    except FileNotFoundError:
        raise DataError(f"{path} does not exist") from None
    except ARCHIVE_ERRORS as error:
        raise DataError(
            f"{path} is a damaged archive ({error}); unpack it again or remove it from the inputs"
        ) from None


def parse_json_lines(file: IO[bytes], where: str) -> Iterator[tuple[int, dict[str, Any] | DataError]]:
    """As `read_json_lines`, from an open file that is called `where` in messages; ARCHIVE_ERRORS pass through."""
    for number, line in enumerate(file, 1):
        if line.strip():
            yield number, _parse_line(line, f"{where}:{number}")


def _parse_line(line: bytes, where: str) -> dict[str, Any] | DataError:
    try:
        value = json.loads(line.decode("utf-8-sig"))  # some editors open a file with a byte order mark
    except (ValueError, RecursionError) as error:  # the first covers UnicodeDecodeError and JSONDecodeError
        return DataError(f"{where}: not a JSON object ({error})")
    return value if isinstance(value, dict) else DataError(f"{where}: a JSON {type(value).__name__}, not an object")


def resolve_path(text: str, folder: Path) -> Path:
    """`sample:x` is a file that ships with seallm; a relative path is relative to `folder`."""
    if text.startswith(SAMPLE_PREFIX):
        return Path(str(resources.files("seallm"))) / "sample" / text.removeprefix(SAMPLE_PREFIX)
    path = Path(text).expanduser()
    return path if path.is_absolute() else folder / path


def is_hidden(path: PurePath) -> bool:
    """True where the name or that of a folder in the path starts with a dot: `.git/config`, `.cache/a.parquet`."""
    return any(part.startswith(".") for part in path.parts)


def files_under(path: Path) -> list[Path]:
    """The file itself, the files of a folder, or the matches of a glob, sorted; hidden files and folders are left out.

    Raises:
        DataError: nothing is there.
    """
    if path.is_file():
        return [path]
    found: Iterable[Path]
    root = path
    if path.is_dir():
        found = path.rglob("*")
    else:
        while any(c in part for part in root.parts for c in "*?["):
            root = root.parent
        found = root.glob(str(path.relative_to(root))) if root != path else iter(())
    files = sorted(p for p in found if p.is_file() and not is_hidden(p.relative_to(root)))
    if not files:
        raise DataError(
            f"No file at {path}. Check the path: it may be a file, a folder or a glob such as data/*.jsonl.gz"
        )
    return files


def file_fingerprint(path: Path) -> str:
    """SHA-256 of the content; beyond 64 MiB, of size, time of change and both ends: a crawl is not read twice."""
    digest = hashlib.sha256()
    status = path.stat()
    with path.open("rb") as file:
        if status.st_size <= WHOLE_HASH_BYTES:
            digest.update(file.read())
        else:
            digest.update(f"{status.st_size} {status.st_mtime_ns}".encode())
            digest.update(file.read(2**20))
            file.seek(-(2**20), os.SEEK_END)
            digest.update(file.read())
    return digest.hexdigest()


def fingerprint(value: object, default: Callable[[Any], Any] = str) -> str:
    """SHA-256 of a JSON value in canonical form."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=default)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()
