"""What a row of a batch is made of: runs of tokens that attend to themselves alone, each with its targets.

Targets are stored with the token that predicts them. So no loss shifts labels, the first token of a document is never
a target of the document before it, and a document that is cut loses no target at the cut.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

IGNORED = -100  # a target that carries no loss, as in torch's cross-entropy


@dataclass(frozen=True)
class Segment:
    """A run of tokens.

    Attributes:
        ids: tokens, (n,).
        targets: the token to predict at each place, or IGNORED, (n,).
        label: what it counts as in the metrics (a language).
        position: position id of the first token; 0 keeps a segment apart from the one before it in its row.
    """

    ids: NDArray[np.integer[Any]]
    targets: NDArray[np.integer[Any]]
    label: str
    position: int = 0


def conversation_segment(ids: Sequence[int], supervised: Sequence[bool], label: str) -> Segment:
    """A whole conversation; `supervised[i]` says whether the loss covers token i as a target."""
    tokens = np.asarray(ids, np.int32)  # many are held at once
    targets = np.full_like(tokens, IGNORED)
    targets[:-1] = np.where(np.asarray(supervised[1:], bool), tokens[1:], IGNORED)
    return Segment(tokens, targets, label)
