"""A stream of gzip members or zstd frames in, each one unpacked out; a damaged one costs itself only.

Members are unpacked one by one. Where one is truncated or corrupt, the search goes on at the next place that unpacks to
what a record opens with, even inside the bytes that the damaged member claims. The stream is read once, forwards; only
the packed bytes of the member at hand are held, and a member that unpacks to more than MAX_MEMBER_BYTES, which is a
whole file packed at once, is handed on as a stream.
"""

import io
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, Any

import zstandard

MAX_MEMBER_BYTES = 16 * 2**20
# what one step may unpack to is bounded by these: 32 KiB of gzip give at most 33 MB
_STEP_BYTES = {"gzip": 2**15, "zstd": 2**13}
_BLOCK_BYTES = 2**18
# what must be packed at the front of a member before the first byte unpacks: zstd gives whole blocks of up to 128 KiB
_PROBE_BYTES = {"gzip": 512, "zstd": 2**17 + 2**5}
_GZIP_FORMAT = 31  # zlib: gzip header and checksum
_DICTIONARY_MAGIC = b"\x5d\x2a\x4d\x18"  # a skippable frame of this number opens a .warc.zst with a dictionary


@dataclass(frozen=True)
class Packing:
    """One way of packing.

    Attributes:
        name: `gzip` or `zstd`.
        magic: the bytes that open each member.
        unpacker: makes an object with `decompress`, `eof` and `unused_data`.
        error: what it raises on damage.
    """

    name: str
    magic: bytes
    unpacker: Callable[[], Any]
    error: type[Exception]


@dataclass(frozen=True)
class Member:
    """An unpacked member: its offset in the packed stream, and its content."""

    offset: int
    content: IO[bytes]


@dataclass(frozen=True)
class Damage:
    """Bytes at an offset that are no sound member."""

    offset: int
    reason: str


class Window:
    """The part of a stream that may still be needed, by its offsets in the stream."""

    def __init__(self, stream: Any) -> None:
        self._stream, self._start, self._content = stream, 0, bytearray()
        self._is_at_end = False

    def read(self, offset: int, count: int) -> bytes:
        """`count` bytes at `offset`, fewer at the end of the stream; the offset must not be released."""
        while not self._is_at_end and self._start + len(self._content) < offset + count:
            block = self._stream.read(_BLOCK_BYTES)
            self._is_at_end = not block
            self._content += block
        with memoryview(self._content) as content:
            return bytes(content[offset - self._start : offset - self._start + count])

    def find(self, wanted: bytes, offset: int) -> int | None:
        """The next offset of these bytes; None where the stream ends first. What is passed over is released."""
        while True:
            block = self.read(offset, _BLOCK_BYTES)
            at = block.find(wanted)
            if at >= 0:
                return offset + at
            if len(block) < _BLOCK_BYTES:
                return None
            offset += len(block) - len(wanted) + 1
            self.release(offset)

    def release(self, offset: int) -> None:
        """Forget what lies before `offset`."""
        if offset - self._start >= _BLOCK_BYTES:
            del self._content[: offset - self._start]
            self._start = offset


def packing_of(window: Window, suffix: str, opening: bytes) -> tuple[Packing | None, int]:
    """How a stream is packed and where its first member starts; None where it is plain.

    Its first bytes tell; where they are damaged, the file's name does.

    Args:
        window: the stream.
        suffix: of the file's name: `.gz`, `.zst` or another.
        opening: what a plain file opens with.
    """
    head = window.read(0, 8)
    if head[:4] == _DICTIONARY_MAGIC:
        size = int.from_bytes(head[4:8], "little")
        return _zstd(_read_dictionary(window.read(8, size))), 8 + size
    if head.startswith(opening):
        return None, 0
    if head.startswith(zstandard.FRAME_HEADER) or suffix == ".zst":
        return _zstd(None), 0
    return (GZIP, 0) if head.startswith(GZIP.magic) or suffix == ".gz" else (None, 0)


def _gzip_unpacker() -> Any:
    return zlib.decompressobj(_GZIP_FORMAT)


GZIP = Packing("gzip", b"\x1f\x8b\x08", _gzip_unpacker, zlib.error)


def _zstd(dictionary: zstandard.ZstdCompressionDict | None) -> Packing:
    tool = zstandard.ZstdDecompressor(dict_data=dictionary)
    return Packing("zstd", zstandard.FRAME_HEADER, tool.decompressobj, zstandard.ZstdError)


def _read_dictionary(content: bytes) -> zstandard.ZstdCompressionDict:
    if content.startswith(zstandard.FRAME_HEADER):
        content = zstandard.ZstdDecompressor().decompressobj().decompress(content)
    return zstandard.ZstdCompressionDict(content)


def read_members(window: Window, packing: Packing, offset: int, opening: bytes) -> Iterator[Member | Damage]:
    """The members of a stream from `offset` on, and one Damage for each place where there is none.

    The content of a member must be read before the next is asked for.

    Args:
        window: the packed stream.
        packing: how it is packed.
        offset: where its first member starts.
        opening: what the content of a member opens with; the search for the next sound member looks for it.
    """
    following: int | None = offset
    while following is not None and window.read(following, 1):
        offset = following
        member = _Unpacking(window, packing, offset)
        parts = member.read_start()
        if not member.damage:
            is_large = not member.is_whole
            yield Member(offset, io.BufferedReader(_Large(member, parts)) if is_large else io.BytesIO(b"".join(parts)))
            if is_large:
                member.skip_rest()
        following = member.offset
        if member.damage:
            yield Damage(offset, f"damaged {packing.name} member: {member.damage}")
            following = _find_member(window, packing, max(offset + 1, member.released), opening)
        window.release(following or 0)


class _Unpacking:
    """A member while it is unpacked.

    Attributes:
        offset: of the next packed byte.
        released: packed bytes before this offset are forgotten.
        is_whole: True once its end was reached.
        damage: what is wrong with it, or nothing.
    """

    def __init__(self, window: Window, packing: Packing, offset: int) -> None:
        self._window, self._packing, self._unpacker = window, packing, packing.unpacker()
        self.offset, self.released = offset, 0
        self.is_whole, self.damage = False, ""

    def read_start(self) -> list[bytes]:
        """Unpack all of it, or at least MAX_MEMBER_BYTES."""
        parts, total = [], 0
        while not self.is_whole and not self.damage and total <= MAX_MEMBER_BYTES:
            parts.append(self.step())
            total += len(parts[-1])
        return parts

    def step(self) -> bytes:
        """Unpack a little more; nothing at the end and on damage."""
        packed = self._window.read(self.offset, _STEP_BYTES[self._packing.name])
        try:
            if not packed:
                raise EOFError("the file ends within it")
            unpacked: bytes = self._unpacker.decompress(packed)
        except (self._packing.error, EOFError) as error:
            self.damage = str(error)
            return b""
        self.is_whole = self._unpacker.eof
        self.offset += len(packed) - (len(self._unpacker.unused_data) if self.is_whole else 0)
        return unpacked

    def forget(self) -> None:
        """Release the packed bytes that are unpacked: from now on, damage costs what was read."""
        self.released = self.offset
        self._window.release(self.offset)

    def skip_rest(self) -> None:
        """Find the end of the member where its reader stopped early."""
        while not self.is_whole and not self.damage:
            self.step()
            self.forget()


class _Large(io.RawIOBase):
    """A member's content as a stream; it ends where the member does or where it is damaged."""

    def __init__(self, member: _Unpacking, parts: list[bytes]) -> None:
        self._member, self._parts, self._content = member, parts[::-1], b""

    def readable(self) -> bool:
        return True

    def readinto(self, target: Any) -> int:
        while not self._content:
            if self._parts:
                self._content = self._parts.pop()
            elif self._member.is_whole or self._member.damage:
                return 0
            else:
                self._content = self._member.step()
                self._member.forget()
        count = min(len(target), len(self._content))
        target[:count], self._content = self._content[:count], self._content[count:]
        return count


def _find_member(window: Window, packing: Packing, offset: int, opening: bytes) -> int | None:
    """The next offset where a member starts whose content opens as it should; None where there is none."""
    found = window.find(packing.magic, offset)
    while found is not None:
        try:
            start = packing.unpacker().decompress(window.read(found, _PROBE_BYTES[packing.name]))
            if start.startswith(opening):
                return found
        except packing.error:  # the magic bytes were part of something else
            start = b""
        found = window.find(packing.magic, found + 1)
    return None
