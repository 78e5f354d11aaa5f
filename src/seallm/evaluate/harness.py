"""Tasks and an engine in, one row a figure out: lm-evaluation-harness on local files, each with n and interval.

Tasks are built once and used for every model. The harness runs offline whatever the user's environment says: hub access
of `datasets` is switched off for the time of the run, and its cache lies in a temporary folder.
"""

import logging
import os
import tempfile
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partialmethod
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import tqdm
from lm_eval.evaluator import evaluate

from seallm.base.interval import bootstrap_mean, wilson
from seallm.evaluate.metrics import corpus_chrf_interval

RESAMPLES = 200
ALL_LANGUAGES = "all"
ONLY_FILTER = "none"  # how the harness calls the filter of tasks that have one alone
METRIC_NAMES = {"acc_bytes": "accuracy", "acc": "accuracy_unnormalised"}
INTERVALS = {"chrf++": corpus_chrf_interval}
Row = dict[str, Any]
Tasks = dict[str, Any]


def task_language(config: Mapping[str, Any]) -> str:
    """The language that a task file's metadata name; empty where it names none."""
    return str((config.get("metadata") or {}).get("language", ""))


@dataclass(frozen=True)
class Limits:
    """Examples a task: where choices are compared, and where the model writes; None for all."""

    choices: int | None = None
    generation: int | None = None

    def of(self, task: Any) -> int | None:
        """The limit for a task."""
        return self.generation if task.OUTPUT_TYPE == "generate_until" else self.choices


def request_count(tasks: Tasks, limits: Limits) -> int:
    """About how many requests the tasks make of one model, for the progress display."""
    count = 0
    for task in tasks.values():
        documents = task.eval_docs
        choices = len(task.doc_to_choice(documents[0])) if task.OUTPUT_TYPE == "multiple_choice" else 1
        count += min(len(documents), limits.of(task) or len(documents)) * choices
    return count


def chosen_examples(available: int, limit: int | None) -> Sequence[int]:
    """Numbers of the examples that a limit leaves: drawn evenly, as many benchmarks are sorted by subject.

    Data sets of equal length (a benchmark and its translations) keep the same examples, whatever the run's seed.
    """
    if limit is None or limit >= available:
        return range(available)
    chosen: list[int] = np.sort(np.random.default_rng(available).permutation(available)[:limit]).tolist()
    return chosen


def score_task(engine: Any, name: str, task: Any, limits: Limits, chat: bool, seed: int) -> list[Row]:
    """Ask one model one task.

    Args:
        engine: the model; an `LM` of the harness. Questions in its `unanswered` count as wrong.
        name: of the task.
        task: from `read_tasks`; used again for the next model.
        limits: examples a task, as `chosen_examples` draws them.
        chat: give prompts in the chat format.
        seed: of the choice of few-shot examples.

    Returns:
        By metric, rows {name, task, language, metric, values, chances}: a value an example, and what guessing scores.
    """
    about = task.config.metadata or {}
    engine.language = task_language({"metadata": about})
    task.set_fewshot_seed(seed)  # anew for each model, so that all see the same examples
    found = evaluate(
        lm=engine,
        task_dict={"tasks": {name: task}},
        samples={name: chosen_examples(len(task.eval_docs), limits.of(task))},
        bootstrap_iters=0,
        log_samples=True,
        apply_chat_template=chat,
        fewshot_as_multiturn=True,
    )
    samples = _by_filter(found["samples"][name])
    _count_cut_questions(engine, task, next(iter(samples.values())))
    unanswered = getattr(engine, "unanswered", ())
    is_choice = task.OUTPUT_TYPE == "multiple_choice"
    return [
        {
            "name": name,
            "task": str(about.get("task", name)),
            "language": engine.language,
            "metric": metric if filtered == ONLY_FILTER else f"{metric},{filtered}",
            "values": [_value(sample, metric, unanswered) for sample in of_filter],
            "chances": [1 / len(sample["arguments"]) for sample in of_filter] if is_choice else [],
        }
        for filtered, of_filter in samples.items()
        for metric in task.aggregation()
    ]


def _by_filter(samples: Sequence[Row]) -> dict[str, list[Row]]:
    """A task may look at the same answers in several ways: strictly, for example, and flexibly."""
    found: dict[str, list[Row]] = defaultdict(list)
    for sample in samples:
        found[sample["filter"]].append(sample)
    return found


def _count_cut_questions(engine: Any, task: Any, samples: Sequence[Row]) -> None:
    """Of the prompts that lost their beginning, count those that lost more than the examples before the question."""
    kept: Mapping[str, int] = getattr(engine, "kept_characters", {})
    for sample in samples:
        prompt = sample["arguments"][0][0]
        if prompt in kept and kept[prompt] < len(str(task.doc_to_text(sample["doc"]))):
            engine.cut_questions += 1


def _value(sample: Row, metric: str, unanswered: Collection[str]) -> Any:
    """The score of an example: that of a wrong answer where there is none."""
    value = sample[metric].item() if isinstance(sample[metric], np.generic) else sample[metric]
    if sample["arguments"][0][0] not in unanswered:
        return value
    if isinstance(value, int | float):
        return 0.0
    return (value[0], "") if isinstance(value, tuple) else value  # the id of a question whose answer is handed in


def figures(scored: Sequence[Row], tasks: Tasks, seed: int) -> list[Row]:
    """Figures of what one model scored, each language, then all of them as one.

    Args:
        scored: rows of `score_task`, of any tasks.
        tasks: by name.
        seed: of the bootstrap.

    Returns:
        Rows {task, language, metric, value, n, low, high, chance}: shares from 0 to 1, chrF++ from 0 to 100.
    """
    return [values.row(seed) for values in scored_values(scored, tasks)]


def scored_values(scored: Sequence[Row], tasks: Tasks) -> list["Scored"]:
    """Scores by benchmark, metric and language, and of all languages where they pool."""
    groups: dict[tuple[str, str], list[Scored]] = defaultdict(list)
    for row in scored:
        aggregate = tasks[row["name"]].aggregation()[row["metric"].split(",")[0]]
        fields = {key: row[key] for key in ("task", "language", "metric", "values", "chances")}
        groups[row["task"], row["metric"]].append(Scored(**fields, aggregate=aggregate))
    return [values for group in groups.values() for values in (*group, *_pooled(group))]


@dataclass(frozen=True)
class Scored:
    """Values of one metric on the examples of one task, and how lm_eval makes one figure of them."""

    task: str
    language: str
    metric: str
    values: Sequence[Any]
    chances: Sequence[float]
    aggregate: Callable[[Sequence[Any]], float]

    @property
    def named(self) -> Row:
        """What it is a figure of."""
        metric = METRIC_NAMES.get(self.metric, self.metric)
        return {"task": self.task, "language": self.language, "metric": metric}

    def row(self, seed: int) -> Row:
        """The figure with its interval."""
        low, high = _interval(self.metric, self.values, self.aggregate, seed)
        return {
            **self.named,
            "value": float(self.aggregate(self.values)),
            "n": len(self.values),
            "low": low,
            "high": high,
            "chance": float(np.mean(self.chances)) if self.chances else None,
        }


def _pooled(group: Sequence[Scored]) -> list[Scored]:
    """All languages as one, for metrics that are means over examples; a corpus metric does not pool."""
    first = group[0]
    if len(group) < 2 or not all(isinstance(v, int | float) for scored in group for v in scored.values):
        return []
    values = [value for scored in group for value in scored.values]
    chances = [chance for scored in group for chance in scored.chances]
    return [Scored(first.task, ALL_LANGUAGES, first.metric, values, chances, first.aggregate)]


def _interval(metric: str, values: Sequence[Any], aggregate: Any, seed: int) -> tuple[float, float]:
    """95 % interval: Wilson for shares, the bootstrap over examples for everything else."""
    if metric in INTERVALS:
        return INTERVALS[metric](values)
    if all(isinstance(value, int | float) for value in values):
        if set(values) <= {0, 1}:
            return wilson(int(sum(values)), len(values))
        return bootstrap_mean(values, seed)
    random = np.random.default_rng(seed)
    draws = [
        aggregate([values[i] for i in random.integers(0, len(values), len(values))])
        for _ in range(RESAMPLES)  # an aggregate of a user's task: no closed form, and seldom fast
    ]
    return float(np.quantile(draws, 0.025)), float(np.quantile(draws, 0.975))


@contextmanager
def own_data_sets() -> Iterator[None]:
    """Within `offline`: let `datasets` find what it has downloaded for the user before."""
    temporary = datasets.config.HF_DATASETS_CACHE
    own = os.environ.get("HF_DATASETS_CACHE") or Path(datasets.config.HF_CACHE_HOME).expanduser() / "datasets"
    try:
        datasets.config.HF_DATASETS_CACHE = Path(own)
        yield
    finally:
        datasets.config.HF_DATASETS_CACHE = temporary


@contextmanager
def offline() -> Iterator[None]:
    """Keep `datasets` from the network and from the user's cache, and the harness from drawing bars of its own."""
    logger = logging.getLogger("lm_eval")
    level, config = logger.level, datasets.config
    names = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "HF_DATASETS_CACHE")
    before = {name: getattr(config, name) for name in names}
    draw = tqdm.tqdm.__init__
    with tempfile.TemporaryDirectory(prefix="seallm-datasets-") as cache:
        try:
            logger.setLevel(logging.ERROR)
            config.HF_HUB_OFFLINE = config.HF_DATASETS_OFFLINE = True
            config.HF_DATASETS_CACHE = Path(cache)
            tqdm.tqdm.__init__ = partialmethod(draw, disable=True)
            yield
        finally:
            logger.setLevel(level)
            for name, value in before.items():
                setattr(config, name, value)
            tqdm.tqdm.__init__ = draw
