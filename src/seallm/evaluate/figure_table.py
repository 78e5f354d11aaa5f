"""A report's rows in, tables that people read out: one line a task, language and metric, one column a model."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from seallm.evaluate.page_engine import DIRECTION, TASKS, task_title
from seallm.evaluate.report_results import ALL, METRICS, describe_metric, known_first, metric_name
from seallm.evaluate.report_text import decimals_of
from seallm.evaluate.task_files import ENGLISH, PREFIX, words

Row = Mapping[str, Any]
_LANGUAGES = re.compile(rf"(?:_(?:{'|'.join(words())})){{1,2}}$")
SHARES_AS_PERCENT = 100.0


def figure_text(row: Row) -> str:
    """Value and 95 % interval: shares in percent, chrF++ and the like as they are."""
    unit = describe_metric(row["metric"], [row["value"], row["high"]]).unit
    scale, decimals = SHARES_AS_PERCENT if unit == "share" else 1.0, decimals_of(unit, row["value"])
    value, low, high = (
        "" if row[key] is None else f"{row[key] * scale:.{decimals}f}" for key in ("value", "low", "high")
    )
    return f"{value} [{low}, {high}]" if low and high else value


def table_lines(rows: Sequence[Row], models: Sequence[str]) -> list[list[str]]:
    """Cells [task, language, metric, n, chance, one figure a model], in the order of the rows."""
    by_figure: dict[tuple[str, str, str], dict[str, Row]] = {}
    for row in rows:
        by_figure.setdefault((row["task"], row["language"], row["metric"]), {})[row["model"]] = row
    lines = []
    for key, of_models in by_figure.items():
        first = next(iter(of_models.values()))
        counts = sorted({row["n"] for row in of_models.values() if row["n"]})
        chance = "" if first.get("chance") is None else f"{first['chance'] * SHARES_AS_PERCENT:.0f}"
        figures = [figure_text(of_models[name]) if name in of_models else "" for name in models]
        lines.append([*key, "-".join(f"{n:,}" for n in counts), chance, *figures])
    return lines


def header(models: Sequence[str]) -> list[str]:
    """Names of the columns of `table_lines`."""
    return ["task", "language", "metric", "n", "chance", *models]


def columns_and_rows(report: Mapping[str, Any]) -> tuple[list[str], list[Row]]:
    """Models of a report, ours before published ones, and the rows of all, benchmark by benchmark."""
    rows = [*report["rows"], *report["published"]]
    order = list(dict.fromkeys((row["task"], row["metric"]) for row in rows))
    rows.sort(key=lambda row: order.index((row["task"], row["metric"])))
    return list(dict.fromkeys([*(m["name"] for m in report["models"]), *(row["model"] for row in rows)])), rows


def summary_rows(report: Mapping[str, Any]) -> list[Row]:
    """Of each task of our models the metric that counts most, for all languages as one, in words.

    Where a metric does not pool, its unweighted mean over languages or directions, without interval.
    """
    of_tasks: dict[str, list[str]] = {}
    for row in report["rows"]:
        of_tasks.setdefault(row["task"], []).append(row["metric"])
    first = {task: min(metrics, key=_rank) for task, metrics in of_tasks.items()}
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in report["rows"]:
        if row["metric"] == first[row["task"]]:
            groups.setdefault((_summarised(row["task"]), row["model"]), []).append(row)
    found: list[Row] = []
    for (task, _), rows in groups.items():
        whole = [row for row in rows if row["language"] == ALL]
        row = (whole or rows)[0] if whole or len(rows) == 1 else _mean(rows)
        found.append({**row, "task": task})
    return found


def _rank(metric: str) -> tuple[int, str]:
    return known_first(metric_name(metric), list(METRICS))


def _summarised(task: str) -> str:
    """How a summary names a task; directions between other languages than English are one."""
    direction = DIRECTION.fullmatch(task)
    is_between = direction is not None and direction["code"] != ENGLISH and direction["name"] in TASKS
    return f"{TASKS[direction['name']]} between others" if direction and is_between else task_title(task)


def _mean(rows: Sequence[Row]) -> Row:
    value, n = sum(row["value"] for row in rows) / len(rows), sum(row["n"] or 0 for row in rows)
    return {**rows[0], "language": f"mean of {len(rows)}", "value": value, "n": n, "low": None, "high": None}


def missing_lines(missing: Sequence[Row]) -> list[str]:
    """What has no data, a line each benchmark with its languages and how the first is fetched."""
    groups: dict[str, dict[str, str]] = {}
    for entry in missing:
        name = entry["task"].removeprefix(PREFIX)
        found = _LANGUAGES.search(name.removesuffix("_harmless"))
        family, codes = (name[: found.start()], found[0].strip("_").replace("_", "-")) if found else (name, "")
        groups.setdefault(family, {}).setdefault(codes, entry["what"])
    lines = []
    for family, of_codes in groups.items():
        first = next(iter(of_codes.values()))
        commands = {what.partition(". Fetch it: ")[2] for what in of_codes.values()}
        more = "" if len(commands) == 1 else " - and in the same way for each language"
        lines.append(first if len(of_codes) == 1 else f"{family} ({', '.join(of_codes)}): {first}{more}")
    return list(dict.fromkeys(lines))


def markdown(report: Mapping[str, Any]) -> str:
    """The report as Markdown: figures, then what is missing."""
    models, rows = columns_and_rows(report)
    title = header(models)
    lines = ["# Evaluation", "", "Figures with 95 % intervals; shares in percent, chrF++ from 0 to 100.", ""]
    lines += [_line(title), _line(["---"] * 3 + ["--:"] * (len(title) - 3))]
    lines += [_line(cells) for cells in table_lines(rows, models)]
    lines += _certain(report["differences"])
    for source in dict.fromkeys(row["source"] for row in report["published"] if "source" in row):
        lines += ["", f"Published: {source}. Their prompts are not ours. `mean` is unweighted over languages all have."]
    lines += [line for note in notes(report) for line in ("", note)]
    if report["missing"]:
        lines += ["", "## Without data", ""]
        lines += [f"- {line}" for line in missing_lines(report["missing"])]
    return "\n".join(lines) + "\n"


def notes(report: Mapping[str, Any]) -> list[str]:
    """What a reader must know of how the figures came about, a line each."""
    found = []
    if report["prompts_cut"]:
        found.append(f"{report['prompts_cut']:,} prompts were too long for a model and lost their beginning.")
    if report["questions_cut"]:
        found.append(f"Of {report['questions_cut']:,} of them a part of the question itself: such answers say little.")
    for row in report["faulty_rows"]:
        of = row["n"] + row["asked"]
        found.append(
            f"{row['task']}: {row['n']:,} of {of:,} rows are faulty as published and left out, as {row['first']}."
        )
    for model in report["models"]:
        if model["choices_by"] == "letter":
            found.append(
                f"{model['name']} was shown the choices and wrote a letter, since its server tells no likelihoods: not "
                "the same measure as of models whose choices are compared by likelihood."
            )
        if model["unanswered"]:
            why = f" ({model['problem']})" if model["problem"] else ""
            found.append(
                f"{model['name']} left {model['unanswered']:,} questions unanswered, which count as wrong{why}."
            )
    return found


def _certain(differences: Sequence[Row]) -> list[str]:
    """Differences whose interval leaves out 0."""
    certain = [row for row in differences if row["low"] > 0 or row["high"] < 0]
    if not differences:
        return []
    against = differences[0]["against"]
    lines = ["", f"## Differences to {against}", ""]
    lines += [
        f"{len(certain)} of {len(differences)} differences have a 95 % interval without 0 (paired bootstrap).",
        "",
    ]
    if certain:
        lines += [_line(["model", "task", "language", "metric", "n", "difference"]), _line(["---"] * 4 + ["--:"] * 2)]
    for row in certain:
        lines.append(
            _line([*(row[key] for key in ("model", "task", "language", "metric")), str(row["n"]), figure_text(row)])
        )
    return lines


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
