"""One key-value cache for many sequences of different length.

Rows live in pools by size: 256 tokens, 512, 1,024 ... A row that outgrows its pool moves to the next, so that at most
half of it is empty; the memory of a pool that all have left goes to the next that needs some. Rows of a pool stay close
together, so that they can be attended to in one call.

Shapes: K key heads, D width of a head.
"""

from dataclasses import dataclass

import torch

SMALLEST_ROW_TOKENS = 256


class Pool:
    """Rows of the same size; row `place` of every buffer belongs to `rows[place]`."""

    def __init__(self, row_tokens: int) -> None:
        self.row_tokens = row_tokens
        self.rows: list[Row] = []
        self.num_places = 0
        self.buffers: dict[tuple[int, str], torch.Tensor] = {}  # by layer and kind: (places, K, row_tokens, D)

    def resize(self, num_places: int) -> None:
        """Have room for just so many rows; those at the front stay."""
        self.num_places = num_places
        kept = min(num_places, len(self.rows))
        for name, old in self.buffers.items():
            new = old.new_zeros(num_places, *old.shape[1:])  # zeros: what is masked must still be a number
            new[:kept] = old[:kept]
            self.buffers[name] = new

    def buffer(self, layer: int, kind: str, like: torch.Tensor) -> torch.Tensor:
        """Keys or values of a layer; made when the first of them are seen (N, K, D)."""
        if (layer, kind) not in self.buffers:
            shape = (self.num_places, like.shape[1], self.row_tokens, like.shape[2])
            self.buffers[layer, kind] = like.new_zeros(shape)
        return self.buffers[layer, kind]


@dataclass(eq=False)
class Row:
    """One sequence in the cache.

    Attributes:
        num_tokens: tokens whose keys and values are known.
    """

    pool: Pool
    place: int
    num_tokens: int = 0

    def states(self, start: int, end: int) -> dict[tuple[int, str], torch.Tensor]:
        """Keys and values (K, tokens, D) of some of its tokens, by layer and kind; views."""
        return {name: b[self.place, :, start:end] for name, b in self.pool.buffers.items()}

    def write(self, states: dict[tuple[int, str], torch.Tensor]) -> None:
        """Append keys and values (K, tokens, D) that were computed before."""
        tokens = 0
        for name, new in states.items():
            tokens = new.shape[1]
            like = new.transpose(0, 1)
            self.pool.buffer(*name, like)[self.place, :, self.num_tokens : self.num_tokens + tokens] = new
        self.num_tokens += tokens


class RowCache:
    """All rows, within a bound on memory.

    Args:
        token_bytes: bytes of the keys and values of one token.
        max_bytes: bound on all pools together.
        max_row_tokens: longest sequence; the cache always has room for one of these.
    """

    def __init__(self, token_bytes: int, max_bytes: int, max_row_tokens: int) -> None:
        self.max_row_tokens = max_row_tokens
        self.max_tokens = max(max_bytes // token_bytes, self._size(max_row_tokens))
        self._pools: dict[int, Pool] = {}

    @property
    def num_tokens(self) -> int:
        """Tokens for which there is memory now, used or not."""
        return sum(pool.row_tokens * pool.num_places for pool in self._pools.values())

    def new_row(self, tokens: int) -> Row | None:
        """A row with room for so many tokens; None where memory is short."""
        pool = self._pools.setdefault(self._size(tokens), Pool(self._size(tokens)))
        if len(pool.rows) == pool.num_places and not self._enlarge(pool):
            return None
        row = Row(pool, len(pool.rows))
        pool.rows.append(row)
        return row

    def has_room(self, row: Row, tokens: int) -> bool:
        """Have room for so many more tokens in a row, by moving it if need be; False where memory is short."""
        wanted = row.num_tokens + tokens
        if wanted <= row.pool.row_tokens:
            return True
        larger = self.new_row(wanted)
        if larger is None:
            return False
        larger.write(row.states(0, row.num_tokens))
        self.free(row)
        row.pool, row.place = larger.pool, larger.place
        row.pool.rows[row.place] = row
        return True

    def free(self, row: Row) -> None:
        """Give a row's place back; the pool's last row moves there."""
        pool, last = row.pool, row.pool.rows.pop()
        if last is not row:
            for buffer in pool.buffers.values():
                buffer[row.place, :, : last.num_tokens] = buffer[last.place, :, : last.num_tokens]
            last.place = row.place
            pool.rows[row.place] = last

    def clear(self) -> None:
        """Give up all rows, and their memory."""
        self._pools.clear()

    def _enlarge(self, pool: Pool) -> bool:
        needed = len(pool.rows) + 1
        self._pools = {size: other for size, other in self._pools.items() if other.rows or other is pool}
        others = self.num_tokens - pool.row_tokens * pool.num_places
        for num_places in (needed + (needed + 2) // 4, needed):  # some more at once, for each time all rows are copied
            if others + pool.row_tokens * num_places <= self.max_tokens:
                pool.resize(num_places)
                return True
        for other in self._pools.values():
            if other is not pool and other.num_places > len(other.rows):
                other.resize(len(other.rows))
        if self.num_tokens - pool.row_tokens * (pool.num_places - needed) > self.max_tokens:
            return False
        pool.resize(needed)
        return True

    def _size(self, tokens: int) -> int:
        size = SMALLEST_ROW_TOKENS
        while size < tokens:
            size *= 2
        return min(size, max(self.max_row_tokens, SMALLEST_ROW_TOKENS))
