"""Lengths of items in, rows of equal length out: best-fit packing.

Two packers. `pack_whole` never cuts an item and opens as many rows as it needs (conversations). `pack_filling` has a
fixed number of rows and fills them with everything it is given: what fits whole goes where it leaves the least space,
the rest is cut over the widest spaces left (documents). Neither loses a token, neither crops.
"""

from collections.abc import Sequence


class _FreeSpace:
    """Rows by the space they have left. A bit set of the spaces that occur finds the best fit in one shift."""

    def __init__(self, row_tokens: int) -> None:
        self.rows: list[list[int]] = [[] for _ in range(row_tokens + 1)]
        self.spaces = 0  # bit s is set where some row has s tokens free

    def put(self, row: int, space: int) -> None:
        if space:
            self.rows[space].append(row)
            self.spaces |= 1 << space

    def take(self, space: int) -> int:
        row = self.rows[space].pop()
        if not self.rows[space]:
            self.spaces ^= 1 << space
        return row

    def smallest(self, at_least: int) -> int:
        """The smallest space that holds `at_least` tokens; 0 where there is none."""
        fitting = self.spaces >> at_least
        return at_least + (fitting & -fitting).bit_length() - 1 if fitting else 0

    def largest(self) -> int:
        return self.spaces.bit_length() - 1


def pack_whole(lengths: Sequence[int], row_tokens: int) -> list[list[int]]:
    """Pack items into rows without cutting any (best-fit decreasing).

    Args:
        lengths: tokens of each item, at most `row_tokens`.
        row_tokens: length of a row.

    Returns:
        For each row the indices of its items; every item is in exactly one row.
    """
    assert all(0 < length <= row_tokens for length in lengths), "items must fit a row"
    rows: list[list[int]] = []
    free = _FreeSpace(row_tokens)
    for item in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        space = free.smallest(lengths[item])
        if space:
            row = free.take(space)
        else:
            row, space = len(rows), row_tokens
            rows.append([])
        rows[row].append(item)
        free.put(row, space - lengths[item])
    return rows


def pack_filling(lengths: Sequence[int], num_rows: int, row_tokens: int) -> list[list[tuple[int, int, int]]]:
    """Pack items into a fixed number of rows, cutting as few as possible.

    Items longer than a row are cut into whole rows and a rest. Then best-fit decreasing; what fits nowhere whole is cut
    over the widest spaces.

    Args:
        lengths: tokens of each item; their sum must not exceed the room of all rows.
        num_rows: rows to fill.
        row_tokens: length of a row.

    Returns:
        For each row its parts (item, start, stop); the parts of an item cover it exactly once.
    """
    assert sum(lengths) <= num_rows * row_tokens, "more tokens than room"
    rows: list[list[tuple[int, int, int]]] = [[] for _ in range(num_rows)]
    free = _FreeSpace(row_tokens)
    for row in reversed(range(num_rows)):
        free.put(row, row_tokens)
    rests: list[tuple[int, int]] = []  # (tokens left, item)
    for item, length in enumerate(lengths):
        for start in range(0, length - row_tokens + 1, row_tokens):
            rows[free.take(row_tokens)].append((item, start, start + row_tokens))
        if length % row_tokens:
            rests.append((length % row_tokens, item))
    uncut = []
    for rest, item in sorted(rests, key=lambda r: (-r[0], r[1])):
        space = free.smallest(rest)
        if not space:
            uncut.append((rest, item))
            continue
        row = free.take(space)
        rows[row].append((item, lengths[item] - rest, lengths[item]))
        free.put(row, space - rest)
    for rest, item in uncut:
        while rest:
            space = free.largest()
            row, part = free.take(space), min(space, rest)
            start = lengths[item] - rest
            rows[row].append((item, start, start + part))
            free.put(row, space - part)
            rest -= part
    return rows
