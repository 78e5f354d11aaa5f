"""Figures of documents in, the column `scores` out, and back: a map from names to values for each document.

All documents of a table have the same figures in the same order. Behind them, a document of several languages has the
share of its bytes in each, as `language_share_<code>`.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from seallm.base.errors import DataError

LANGUAGE_SHARE = "language_share_"
MIN_SHARE = 0.01  # of a document's bytes, for a language to be named

Figures = Mapping[str, npt.NDArray[np.float32]]


def score_maps(figures: Figures, language_shares: Mapping[int, Mapping[str, float]]) -> pa.MapArray:
    """The column of n documents.

    Args:
        figures: (n,) values each.
        language_shares: of the documents of several languages, by row: language to share of bytes.
    """
    names, n = list(figures), len(next(iter(figures.values())))
    keys, values = names * n, np.stack(list(figures.values()), axis=1).astype(np.float32)
    if not any(len(shares) > 1 for shares in language_shares.values()):
        offsets = np.arange(0, (n + 1) * len(names), len(names), dtype=np.int32)
        return pa.MapArray.from_arrays(pa.array(offsets), pa.array(keys, pa.string()), pa.array(values.reshape(-1)))
    rows = []
    for row, own in enumerate(values):
        shares = language_shares.get(row, {})
        named = {c: share for c, share in shares.items() if share >= MIN_SHARE} if len(shares) > 1 else {}
        rows.append([*zip(names, own.tolist(), strict=True), *((LANGUAGE_SHARE + c, s) for c, s in named.items())])
    return pa.array(rows, pa.map_(pa.string(), pa.float32()))


def figures_of(scores: pa.MapArray) -> dict[str, npt.NDArray[np.float32]]:
    """The figures that all documents have, as one array (n,) each.

    Raises:
        DataError: the documents do not all hold the same figures in the same order.
    """
    n = len(scores)
    if not n:
        return {}
    starts = scores.offsets[:n].to_numpy()
    names = scores.keys[starts[0] : scores.offsets[1].as_py()].to_pylist()
    own = [name for name in names if not name.startswith(LANGUAGE_SHARE)]
    places = pa.array((starts[:, None] + np.arange(len(own))).reshape(-1))
    if int(np.diff(scores.offsets.to_numpy()).min()) < len(own) or not scores.keys.take(places).equals(
        pa.array(own * n, scores.keys.type)
    ):
        raise DataError("Rows of one table hold different scores; build the corpus again")
    table = scores.items.take(places).to_numpy().reshape(n, len(own))
    return dict(zip(own, np.ascontiguousarray(table.T), strict=True))
