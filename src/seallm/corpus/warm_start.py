"""Imported by the process that the corpus stage's workers are forked from: models, tables and kernels, loaded once.

Loading them takes longer than judging a thousand pages, and a forked worker has them at once. This is the one module
that works when it is imported; nothing but `map_shards(..., preload=...)` names it.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa

from seallm.canonical.repair import RepairPolicy, repair_counted
from seallm.corpus.judge_texts import TextFile, judge_texts
from seallm.corpus.personal import PLACEHOLDER
from seallm.corpus.raw_texts import TEXTS_SCHEMA
from seallm.corpus.site_frames import FrameLines, count_lines
from seallm.languages import known_languages

_TEXTS = ("Mail mail@example.org or call +66 81 234 5678, a text of a spaced language", "ข้อความ", "မြန်မာ", "ភាសាខ្មែរ")


def _warm_up() -> None:
    """Put a few texts through all that reading and judging does."""
    n = len(_TEXTS)
    rows = {"id": [*"abcd"], "text": _TEXTS, "source": ["s"] * n, "host": ["h"] * n, "repaired": [False] * n}
    table = pa.table([pa.array(rows.get(f.name, [None] * n), f.type) for f in TEXTS_SCHEMA], schema=TEXTS_SCHEMA)
    for text in _TEXTS:
        repair_counted(text, RepairPolicy())
    count_lines(table["text"], table["host"])
    file = TextFile(
        texts=Path(),
        languages=known_languages(),
        identifier_model=None,
        minhash=(1, 1),  # no run's own, so that what is cached here by settings serves none
        frames=None,
        index=None,
        benchmark_share=1.0,
        benchmark_action="drop",
        personal_data="mask",
        personal_placeholder=PLACEHOLDER,
        harm_words="label",
        harm_model=None,
        blocked=(),
        opted_out=(),
    )
    judge_texts(table, file, FrameLines(np.zeros(1, np.uint64), np.zeros(1, np.bool_)), None)


_warm_up()
