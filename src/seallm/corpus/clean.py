"""One file of texts in, one shard of judged documents out: the part of the corpus stage that looks at every text.

Texts come as `raw_texts` wrote them and are judged a batch at a time. A shard is a Parquet file whose row groups hold
one language each, so that later a language's rows are read without the others, and a summary that is written last.
"""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from seallm.base.files import atomic_writer, write_json
from seallm.corpus.decontaminate import load_index
from seallm.corpus.fit_thresholds import STEPS, count_scores
from seallm.corpus.judge_texts import TextFile, judge_texts, shard_schema
from seallm.corpus.layout import documents_of
from seallm.corpus.personal_rules import TYPES
from seallm.corpus.site_frames import FrameLines


def save_frames(frames: FrameLines, path: Path) -> None:
    """Write the lines of all sites' frames."""
    with atomic_writer(path) as file:
        np.savez(file, **frames._asdict())


def clean_file(file: TextFile, result: Path) -> None:
    """Judge one file into `result` (a summary, JSON) and the Parquet file beside it; both appear whole or not."""
    texts = pq.ParquetFile(file.texts)
    frames = FrameLines(**np.load(file.frames)) if file.frames else None
    index = load_index(file.index) if file.index else None
    schema = shard_schema(file.minhash[0])
    documents = frame_lines = 0
    leaks: list[dict[str, Any]] = []
    masked: Counter[str] = Counter()
    score_counts = {code: np.zeros(STEPS + 1, np.int64) for code in file.languages}
    with atomic_writer(documents_of(result)) as out, pq.ParquetWriter(out, schema, compression="zstd") as writer:
        for number in range(texts.num_row_groups):
            judged = judge_texts(texts.read_row_group(number), file, frames, index)
            table = judged.table.cast(schema)
            groups = table["group"].to_numpy(zero_copy_only=False)
            for group in sorted(set(groups)):
                writer.write_table(table.filter(pa.array(groups == group)), row_group_size=len(table))
            for code, counts in score_counts.items():
                counts += count_scores(judged.scores[groups == code])
            documents += len(table)
            frame_lines += judged.frame_lines
            leaks += judged.leaks
            masked.update(dict(zip(TYPES, judged.masked.tolist(), strict=True)))
    found = {"documents": documents, "frame_lines": frame_lines, "masked": masked, "leaks": leaks}
    write_json(result, {**found, "score_counts": {code: counts.tolist() for code, counts in score_counts.items()}})
