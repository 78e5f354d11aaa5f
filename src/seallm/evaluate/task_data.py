"""Data files of the tasks in, checked rows out; lm-evaluation-harness calls `read` by `custom_dataset` of a task file.

Rows are read here rather than by `datasets.load_dataset`: nothing is copied to a cache in the user's home, nothing can
reach a network, and a broken row is named by file and line before any model is loaded. A benchmark row is never dropped
in silence: one bad row stops the task, because a figure on fewer rows would no longer be the benchmark's.

All rows are one split. `role` says which are asked and which are only shown as examples; where a benchmark has no
examples of its own, those of a question are other rows of the same file. Some benchmarks are published with a few rows
without a question, or whose right answer is none of their choices; they have the role `faulty`, are not asked, and are
counted.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lm_eval.api.samplers import ContextSampler

from seallm.base.errors import DataError
from seallm.evaluate import task_rows
from seallm.evaluate.layouts import MissingDataError, beside, find_files, raw_rows, read_sentences
from seallm.evaluate.task_rows import Layout

Row = dict[str, Any]
SPLIT = "test"
FAULTY = "faulty"
PARSERS: dict[str, Callable[[Row, str, Layout], Row]] = {
    "quiz": task_rows.quiz,
    "xcopa": task_rows.xcopa,
    "exam": task_rows.exam,
    "submission": task_rows.exam,
    "label": task_rows.label,
    "span": task_rows.span,
    "sums": task_rows.sums,
    "summary": task_rows.summary,
    "safety": task_rows.safety,
}


def read(
    *,
    data: str,
    kind: str,
    files: Sequence[str],
    shot_files: Sequence[str] = (),
    shots: int = 0,
    fetch: str = "",
    language: str = "",
    **others: Any,
) -> Mapping[str, Any]:
    """Rows of a task.

    Args:
        data: folder of the data files.
        kind: what the rows are: a name of `PARSERS`, or `translation`.
        files: patterns of the files with questions; the first that matches is read.
        shot_files: the same for examples.
        shots: examples shown before a question; without any, missing `shot_files` do not matter.
        fetch: how to get the files.
        language: code of the task's language.
        others: fields of `Layout`, and what the reader does not need.

    Raises:
        MissingDataError: a file is missing.
        DataError: it is empty or malformed.
    """
    folder = Path(data)
    if kind == "translation":
        asked = _pairs(folder, files, others["source"], others["target"], fetch)
        shown = _pairs(folder, shot_files, others["source"], others["target"], fetch) if shot_files and shots else []
    elif kind in PARSERS:
        layout = Layout.of(language, others)
        asked = _parsed(folder, find_files(folder, files, fetch), kind, layout)
        shown = _parsed(folder, find_files(folder, shot_files, fetch), kind, layout) if shot_files and shots else []
    else:
        raise DataError(f"kind {kind!r} of a task is unknown; expected {', '.join([*PARSERS, 'translation'])}")
    rows = [{"role": "asked", **row} for row in asked]
    rows += [{**row, "role": "shown"} for row in shown if row.get("role") != FAULTY]
    from datasets import Dataset

    return {SPLIT: Dataset.from_list(rows)}


def _parsed(data: Path, paths: Sequence[Path], kind: str, layout: Layout) -> list[Row]:
    rows, faults = [], []
    for path in paths:
        found = raw_rows(path, layout.header)
        if layout.beside and path.suffix == ".txt":
            found = beside(found, {column: data / file for column, file in layout.beside.items()})
        for where, row in found:
            if layout.takes(row):
                try:
                    rows.append(PARSERS[kind](row, where, layout))
                except DataError as error:
                    if not layout.faulty_share:
                        raise
                    faults.append(error)
    if len(faults) > layout.faulty_share * (len(rows) + len(faults)):
        raise faults[0]
    if layout.prompt_kind:
        rows = [row for row in rows if row["kind"] == layout.prompt_kind]
    if not rows:
        # a file of several tasks need not have rows of every one
        error_type = MissingDataError if layout.only or layout.prompt_kind else DataError
        raise error_type(f"{paths[0]} is empty; expected at least one row" + layout.of_prefix)
    return rows + [{**rows[0], "role": FAULTY, "question": str(error)} for error in faults]


def faulty_rows(tasks: Mapping[str, Any]) -> list[Row]:
    """Rows {task, n, asked, first} of the tasks with faulty rows: how many, how many others, the fault of the first."""
    found = []
    for name, task in tasks.items():
        split = task.dataset.get(SPLIT)
        roles = list(split["role"]) if split is not None and "role" in split.column_names else []
        if FAULTY in roles:
            first = split[roles.index(FAULTY)]["question"]
            found.append({"task": name, "n": roles.count(FAULTY), "asked": roles.count("asked"), "first": first})
    return found


def _pairs(
    data: Path, files: Sequence[str], source: Mapping[str, str], target: Mapping[str, str], fetch: str
) -> list[Row]:
    """Rows {source, target} of aligned files; a pair with an empty side is left out."""
    paths = [find_files(data, [f.format(**side) for f in files], fetch)[0] for side in (source, target)]
    sources, targets = map(read_sentences, paths)
    if len(sources) != len(targets):
        raise DataError(
            f"{paths[0]} has {len(sources)} lines and {paths[1].name} {len(targets)}; expected one sentence a line, "
            "aligned"
        )
    return [{"source": s, "target": t} for s, t in zip(sources, targets, strict=True) if s and t]


def questions(rows: Any) -> Any:
    """The rows that are asked."""
    return _of_role(rows, "asked")


def examples(rows: Any) -> Any:
    """The rows that are shown as examples: those of a split of their own, or else all."""
    shown = _of_role(rows, "shown")
    return shown if len(shown) else _of_role(rows, "asked")


def _of_role(rows: Any, role: str) -> Any:
    return rows.select([number for number, found in enumerate(rows["role"]) if found == role])


class SameSubject(ContextSampler):  # type: ignore[misc]
    """The first examples of the question's subject, then of others, never the question itself.

    The same for all questions of a subject, as MMLU shows them, so that they are computed once.
    """

    def sample(self, n: int, eval_doc: Row | None = None, df: Any = None, **_: object) -> list[Row]:
        """The n examples of a question.

        Raises:
            DataError: there are fewer.
        """
        if n == 0:
            return []
        if df is not None and df is not self.df:
            self.replace_df(df)
        if "by_subject" not in self.__dict__:
            self.by_subject: dict[object, list[Row]] = {}
            for row in self.df:
                self.by_subject.setdefault(row.get("subject"), []).append(row)
        own = (eval_doc or {}).get("subject")
        pools = [self.by_subject.get(own, ()), *(pool for key, pool in self.by_subject.items() if key != own)]
        chosen: list[Row] = []
        for pool in pools:
            for row in pool:
                if len(chosen) < n and row != eval_doc:
                    chosen.append(row)
                if len(chosen) == n:
                    return chosen
        raise DataError(f"There are {len(chosen)} examples to show before a question; the task wants {n}")
