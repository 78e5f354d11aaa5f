"""A table of published figures in, rows beside our own out; averages are computed, never copied.

A published figure has neither n nor interval where its authors gave none, and its prompts are not ours: it says what to
expect, not who is better.
"""

import tomllib
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from seallm.base.errors import DataError
from seallm.evaluate.report_results import ALL, describe_metric, mean_estimate

MEAN = "mean"  # unweighted over languages; `all` is over examples
PERCENT = 100.0
Row = dict[str, Any]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid")
    about: str
    task: str
    metric: str
    languages: list[str]
    figures: dict[str, list[float]]


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")
    source: str
    table: list[_Table]


def published_names() -> list[str]:
    """Tables that ship with seallm."""
    folder = resources.files("seallm") / "evaluate" / "published"
    return sorted(Path(str(file)).stem for file in folder.iterdir())


def read_published(name: str) -> list[Row]:
    """Rows {model, task, language, metric, value, source, about}; shares from 0 to 1, as our own.

    Args:
        name: a table that ships with seallm (`seallms`), or a TOML file of the same layout.

    Raises:
        DataError: there is no such table, or the file is not one.
    """
    shipped = resources.files("seallm") / "evaluate" / "published" / f"{name}.toml"
    path = Path(str(shipped)) if name in published_names() else Path(name).expanduser()
    if not path.is_file():
        raise DataError(f"There are no published figures {name!r}: give {', '.join(published_names())} or a TOML file")
    try:
        found = _File.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not TOML: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        raise DataError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    return [row for table in found.table for row in _rows(table, found.source, path)]


def _rows(table: _Table, source: str, path: Path) -> list[Row]:
    rows = []
    for model, figures in table.figures.items():
        if len(figures) != len(table.languages):
            raise DataError(
                f"{path}: {table.task}, {model}: {len(figures)} figures for {len(table.languages)} languages"
            )
        is_share = describe_metric(table.metric, []).unit == "share"
        for code, figure in zip(table.languages, figures, strict=True):
            rows.append(
                {
                    "model": f"{model} (published)",
                    "task": table.task,
                    "language": code,
                    "metric": table.metric,
                    "value": figure / PERCENT if is_share else figure,
                    "n": None,
                    "low": None,
                    "high": None,
                    "chance": None,
                    "source": source,
                    "about": table.about,
                }
            )
    return rows


def beside(own: Sequence[Row], published: Sequence[Row]) -> list[Row]:
    """The published rows of what was measured, and the mean over languages of every model, ours and theirs.

    A mean is over the languages that all models of the row have; without two such there is none.
    """
    measured = {(row["task"], row["language"], row["metric"]) for row in own}
    kept = [row for row in published if (row["task"], row["language"], row["metric"]) in measured]
    means = []
    for task, metric in dict.fromkeys((row["task"], row["metric"]) for row in kept):
        of_models: dict[str, dict[str, Row]] = {}
        for row in [*own, *kept]:
            if (row["task"], row["metric"]) == (task, metric) and row["language"] != ALL:
                of_models.setdefault(row["model"], {})[row["language"]] = row
        common = set.intersection(*(set(rows) for rows in of_models.values()))
        if len(common) > 1:
            means += [_mean(model, task, metric, [r[c] for c in sorted(common)]) for model, r in of_models.items()]
    return kept + means


def _mean(model: str, task: str, metric: str, rows: Sequence[Row]) -> Row:
    whole = 1.0 if describe_metric(metric, []).unit == "share" else PERCENT
    found = mean_estimate(rows, [whole] * len(rows))
    scaled = {key: None if found[key] is None else found[key] * whole for key in ("value", "low", "high")}
    return {
        "model": model,
        "task": task,
        "language": MEAN,
        "metric": metric,
        **scaled,
        "n": found["n"] or None,
        "chance": None,
    }
