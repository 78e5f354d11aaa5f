"""WARC and WET files in, raw documents out; a damaged record costs that record only.

Crawlers pack every record as a gzip member of its own. Members are unpacked one by one, and where one is truncated or
corrupt the search goes on at the next place that unpacks to a WARC header, even inside the bytes that the damaged
member claims. FastWARC parses the records; on its own it gives up the rest of the file.
"""

import io
import mmap
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fastwarc.warc import ArchiveIterator, WarcRecordType

from seallm.corpus.extract import decode_page
from seallm.corpus.raw_records import BadRecord, RawDocument, RawRecord, SkippedRecord

MAX_MEMBER_BYTES = 256 * 2**20  # a larger member is a whole file packed at once: it is streamed, not held
_GZIP_MAGIC, _WARC_MAGIC = b"\x1f\x8b\x08", b"WARC/"
_GZIP_FORMAT = 31  # zlib: gzip header and checksum
_CHUNK_BYTES = 2**15
_HTML_TYPES, _TEXT_TYPE = ("text/html", "application/xhtml+xml"), "text/plain"
_WANTED = WarcRecordType.response | WarcRecordType.resource | WarcRecordType.conversion


class _TooLarge(Exception):
    pass


def read_warc(path: Path, name: str) -> Iterator[RawRecord]:
    """Read a `.warc` or `.wet` file, plain, `.gz` or `.zst`; `name` stands for the file in messages."""
    if path.suffix != ".gz":
        with path.open("rb") as file:
            yield from _read_records(file, name)
        return
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        offset = 0
        while offset < len(content):
            where = f"{name}@{offset}"
            try:
                member, following = _unpack_member(content, offset)
            except _TooLarge:
                file.seek(offset)
                yield from _read_records(file, where)
                return
            except (zlib.error, EOFError) as error:
                yield BadRecord(where, f"damaged gzip member: {error}")
                offset = _find_member(content, offset + 1)
                continue
            yield from _read_records(io.BytesIO(member), where)
            offset = following


def _unpack_member(content: mmap.mmap, offset: int) -> tuple[bytes, int]:
    """Unpack the member at `offset`; return it with the offset behind it.

    Raises:
        zlib.error: it is corrupt, or its checksum is wrong.
        EOFError: the file ends within it.
        _TooLarge: it unpacks to more than MAX_MEMBER_BYTES.
    """
    unpacker, parts, total = zlib.decompressobj(_GZIP_FORMAT), [], 0
    while not unpacker.eof:
        packed = content[offset : offset + _CHUNK_BYTES]
        if not packed:
            raise EOFError("the file ends within it")
        parts.append(unpacker.decompress(packed))
        total += len(parts[-1])
        offset += len(packed) - len(unpacker.unused_data)
        if total > MAX_MEMBER_BYTES:
            raise _TooLarge
    return b"".join(parts), offset


def _find_member(content: mmap.mmap, offset: int) -> int:
    """The next offset where a member starts that holds a WARC record; the end of the file where none does."""
    while (offset := content.find(_GZIP_MAGIC, offset)) >= 0:
        if _holds_record(content[offset : offset + 512]):
            return offset
        offset += 1
    return len(content)


def _holds_record(packed: bytes) -> bool:
    try:
        return zlib.decompressobj(_GZIP_FORMAT).decompress(packed, 64).startswith(_WARC_MAGIC)
    except zlib.error:  # the magic bytes were part of something else
        return False


def _read_records(stream: Any, where: str) -> Iterator[RawRecord]:
    """The records of an unpacked stream, or of one that FastWARC unpacks."""
    count = 0
    try:
        for record in ArchiveIterator(stream, record_types=WarcRecordType.any_type, auto_decode="all"):
            count += 1
            yield _read_record(record, where if count == 1 else f"{where}#{count}")
    except (OSError, ValueError) as error:
        yield BadRecord(where, f"no further WARC record can be read after {count}: {error}")
        return
    if count == 0:
        yield BadRecord(where, "no WARC record")


def _read_record(record: Any, where: str) -> RawRecord:
    kind = record.record_type
    if not kind & _WANTED:
        return SkippedRecord(f"WARC {record.headers.get('WARC-Type', 'without a type')}")
    headers = record.http_headers
    if kind == WarcRecordType.response and (headers is None or headers.status_code is None):
        return BadRecord(where, "no HTTP header in a response record")
    if headers is not None and headers.status_code != 200:
        return SkippedRecord(f"HTTP status {headers.status_code}")
    content_type = record.http_content_type or record.headers.get("Content-Type") or ""
    content_type = content_type.partition(";")[0].strip().lower()
    if content_type not in (*_HTML_TYPES, _TEXT_TYPE):
        return SkippedRecord(f"content type {content_type or 'missing'}")
    body = record.reader.read()
    is_encoded = headers is not None and ("Content-Encoding" in headers or "Transfer-Encoding" in headers)
    if not is_encoded and len(body) < record.content_length:
        return BadRecord(where, f"the record ends after {len(body)} of {record.content_length} bytes")
    record_id = (record.record_id or "").strip("<>") or None
    url = record.headers.get("WARC-Target-URI")
    if content_type == _TEXT_TYPE:
        return RawDocument(where, text=decode_page(body, record.http_charset), id=record_id, url=url)
    return RawDocument(where, page=body, encoding=record.http_charset, id=record_id, url=url)
