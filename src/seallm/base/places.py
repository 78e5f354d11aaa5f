"""A file's place in, its bytes, size and fingerprint out, wherever it lies: a Path here, or a URL elsewhere.

A place is a `Path` for a local file and a `str` for a URL that fsspec understands: `s3://bucket/crawl/`,
`hf://datasets/owner/name/*.parquet`, `https://...`, `memory://`. `file://` becomes a Path. Credentials come from the
environment, as the package of each protocol describes it, never from a recipe.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any
from urllib.parse import unquote, urlsplit

from seallm.base.errors import DataError, MissingExtra
from seallm.base.files import file_fingerprint, files_under, fingerprint, is_hidden, resolve_path

Place = Path | str

READ_AHEAD_BYTES = 8 * 2**20
_WILDCARDS = "*?["
# protocol: package, extra of seallm
_PACKAGES = {
    "s3": ("s3fs", "s3"),
    "s3a": ("s3fs", "s3"),
    "gs": ("gcsfs", "gs"),
    "gcs": ("gcsfs", "gs"),
    "az": ("adlfs", "az"),
    "abfs": ("adlfs", "az"),
    "abfss": ("adlfs", "az"),
}
# what file systems tell of a file's content, and else of its last change
_CHECKSUM_KEYS = ("ETag", "etag", "md5Hash", "content_md5", "blob_id", "oid", "sha256", "crc32c", "checksum")
_TIME_KEYS = ("LastModified", "last_modified", "mtime", "updated", "modified", "created")


def is_url(text: str) -> bool:
    """True where the text names a protocol: `s3://bucket/a.jsonl`."""
    return "://" in text


def resolve_place(text: str, folder: Path) -> Place:
    """The place that an input setting names; a relative path is relative to `folder`."""
    if text.startswith("file://"):
        return Path(unquote(urlsplit(text).path))
    return text if is_url(text) else resolve_path(text, folder)


def places_under(place: Place) -> list[Place]:
    """The file itself, the files of a folder, or the matches of a glob, sorted; hidden files and folders are left out.

    Raises:
        DataError: nothing is there, or the protocol is not known.
        MissingExtra: the protocol's package is not installed.
    """
    if isinstance(place, Path):
        return list(files_under(place))
    system, path = _file_system(place)
    with _told(place):
        if any(character in path for character in _WILDCARDS):
            found = [name for name, entry in system.glob(path, detail=True).items() if entry["type"] == "file"]
        else:
            found = [path] if system.isfile(path) else list(system.find(path))
    named = [part for part in PurePosixPath(path).parts if not any(c in part for c in _WILDCARDS)]
    seen = (name for name in found if not is_hidden(PurePosixPath(*PurePosixPath(name).parts[len(named) :])))
    urls = sorted(str(system.unstrip_protocol(name)) for name in seen)
    if not urls:
        raise DataError(f"No file at {place_label(place)}. Check the address: a file, a folder or a glob such as *.gz")
    return list(urls)


def place_name(place: Place) -> str:
    """The file's own name: `a.jsonl.gz`."""
    if isinstance(place, Path):
        return place.name
    parts = urlsplit(place)
    return PurePosixPath(unquote(parts.netloc + parts.path)).name


def place_suffixes(place: Place) -> list[str]:
    """The endings of the file's name, lower case: `[".jsonl", ".gz"]`."""
    return [suffix.lower() for suffix in PurePosixPath(place_name(place)).suffixes]


def place_label(place: Place) -> str:
    """How messages name it: without the user, password, signature or key that a URL may carry."""
    if isinstance(place, Path):
        return str(place)
    parts = urlsplit(place)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def place_size(place: Place) -> int:
    """Bytes of the file as it is stored; 0 where a server does not tell."""
    return place.stat().st_size if isinstance(place, Path) else int(_describe(place).get("size") or 0)


def place_fingerprint(place: Place) -> str:
    """Changes when the content does. A remote file is not read: its size and checksum count, or else its time.

    Raises:
        DataError: the file is not there, or cannot be asked about.
    """
    if isinstance(place, Path):
        return file_fingerprint(place)
    about = _describe(place)
    known = {key: str(about[key]) for key in _CHECKSUM_KEYS if about.get(key)}
    known = known or {key: str(about[key]) for key in _TIME_KEYS if about.get(key)}
    return fingerprint({"size": about.get("size"), **known})


def open_place(place: Place) -> IO[bytes]:
    """Open for reading, as it is stored; a remote file is read in blocks of 8 MiB and can be searched.

    Raises:
        DataError: now or on reading, where a remote file cannot be reached.
    """
    if isinstance(place, Path):
        return place.open("rb")
    system, path = _file_system(place)
    with _told(place):
        file = system.open(path, "rb", block_size=READ_AHEAD_BYTES, cache_type="readahead")
    return io.BufferedReader(_RemoteFile(file, place), 2**20)


class _RemoteFile(io.RawIOBase):
    """Says of every failure which address it was: a broken connection must not pass for a damaged file."""

    def __init__(self, file: Any, place: str) -> None:
        self._file, self._place = file, place

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return bool(self._file.seekable())

    def readinto(self, target: Any) -> int:
        with _told(self._place):
            content = self._file.read(len(target))
        target[: len(content)] = content
        return len(content)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        with _told(self._place):
            return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        return int(self._file.tell())

    def close(self) -> None:
        self._file.close()
        super().close()


def _file_system(url: str) -> tuple[Any, str]:
    """The file system of a URL and the path in it."""
    import fsspec

    protocol = url.partition("://")[0]
    try:
        system, path = fsspec.core.url_to_fs(url)
    except ImportError as error:
        if protocol in _PACKAGES:
            raise MissingExtra(*_PACKAGES[protocol]) from None
        raise DataError(f"{place_label(url)} needs a package that is not installed: {error}") from None
    except ValueError as error:
        raise DataError(
            f"{place_label(url)} cannot be read: {error}. Give a path, or a URL that fsspec knows"
        ) from None
    return system, path


def _describe(url: str) -> dict[str, Any]:
    system, path = _file_system(url)
    with _told(url):
        return dict(system.info(path))


@contextmanager
def _told(url: str) -> Iterator[None]:
    """Every package has errors of its own for a network; all of them become one line that names the address."""
    try:
        yield
    except Exception as error:
        kind = type(error).__name__
        raise DataError(
            f"{place_label(url)} cannot be read ({kind}: {error}). Check the address, the network and your credentials"
        ) from error
