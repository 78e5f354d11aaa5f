"""Keys and values of token sequences that were read before, found again by their common beginning.

A tree of token ids: sequences that begin alike share the path from the root until they part (a radix tree, as in Zheng
et al. 2023). A system prompt is held once, and a conversation's next turn finds all turns before it. What was not used
for longest goes first.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch

from seallm.model.row_cache import Row

States = dict[tuple[int, str], torch.Tensor]  # by layer and kind: (K, tokens, D)


@dataclass(eq=False)
class _Node:
    """A stretch of ids after those of its parent, with their keys and values."""

    ids: tuple[int, ...]
    states: States
    parent: "_Node | None"
    children: dict[int, "_Node"] = field(default_factory=dict)  # by first id
    last_used: int = 0


class PrefixCache:
    """The tree.

    Args:
        max_tokens: tokens that are held at most.

    Attributes:
        num_tokens: tokens that are held.
    """

    def __init__(self, max_tokens: int) -> None:
        self.max_tokens, self.num_tokens = max_tokens, 0
        self._root = _Node((), {}, None)
        self._leaves: set[_Node] = set()
        self._clock = itertools.count(1)

    def length(self, ids: Sequence[int]) -> int:
        """How many of the first ids are held."""
        return sum(count for _, count in self._path(ids))

    def copy_into(self, row: Row, ids: Sequence[int]) -> int:
        """Give an empty row the keys and values of as many of the first ids as are held; returns how many."""
        now = next(self._clock)
        for node, count in self._path(ids):
            node.last_used = now
            row.write({name: states[:, :count] for name, states in node.states.items()})
        return row.num_tokens

    def insert(self, ids: Sequence[int], row: Row) -> None:
        """Hold the keys and values of these ids, which are the row's first, too."""
        if not 0 < len(ids) <= self.max_tokens:
            return
        now, known, node = next(self._clock), 0, self._root
        for found, count in self._path(ids):
            node, known = found, known + count
            node.last_used = now
            if known < len(ids) and count < len(node.ids):
                node = self._split(node, count)
        if known < len(ids):
            copies = {name: states.clone() for name, states in row.states(known, len(ids)).items()}
            leaf = _Node(tuple(ids[known:]), copies, node, last_used=now)
            node.children[leaf.ids[0]] = leaf
            self._leaves.discard(node)
            self._leaves.add(leaf)
            self.num_tokens += len(leaf.ids)
        while self.num_tokens > self.max_tokens:
            self._drop(min(self._leaves, key=lambda leaf: leaf.last_used))

    def _path(self, ids: Sequence[int]) -> Iterator[tuple[_Node, int]]:
        """Nodes along the ids, and how many ids of each are theirs."""
        node, start = self._root, 0
        while start < len(ids) and (child := node.children.get(ids[start])) is not None:
            count = num_common(child.ids, ids[start : start + len(child.ids)])
            is_whole = count == len(child.ids)  # asked before the yield: an insertion may split the child
            yield child, count
            if not is_whole:
                return
            node, start = child, start + count

    def _split(self, node: _Node, count: int) -> _Node:
        """Cut a node in two; returns the upper one. Both get tensors of their own, so that either can go alone."""
        parent = node.parent
        assert parent is not None, "the root holds no ids and is never split"
        upper = _Node(
            node.ids[:count],
            {n: s[:, :count].clone() for n, s in node.states.items()},
            parent,
            last_used=node.last_used,
        )
        node.states = {n: s[:, count:].clone() for n, s in node.states.items()}
        node.ids, node.parent = node.ids[count:], upper
        upper.children[node.ids[0]] = node
        parent.children[upper.ids[0]] = upper
        return upper

    def _drop(self, leaf: _Node) -> None:
        parent = leaf.parent
        assert parent is not None, "the root is no leaf"
        self._leaves.remove(leaf)
        del parent.children[leaf.ids[0]]
        self.num_tokens -= len(leaf.ids)
        if not parent.children and parent is not self._root:
            self._leaves.add(parent)


def num_common(first: Sequence[int], second: Sequence[int]) -> int:
    """How many ids two sequences have in common at their start."""
    shorter = min(len(first), len(second))
    if tuple(first[:shorter]) == tuple(second[:shorter]):
        return shorter
    return next(n for n, (a, b) in enumerate(zip(first, second, strict=False)) if a != b)
