"""Templates and figures in, one self-contained HTML page out: what every page of the evaluation shares.

Texts of documents and models are escaped by the template engine; a content security policy that names the page's own
script and style by their hashes stops whatever would slip through.
"""

import base64
import functools
import hashlib
import re
from collections.abc import Callable, Iterable, Sequence

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from seallm.evaluate import report_plots, report_text
from seallm.evaluate.report_data import Figures
from seallm.evaluate.report_headline import language_name
from seallm.evaluate.report_plots import KeyOf, model_key
from seallm.evaluate.safety_plot import safety_map, safety_points
from seallm.languages import known_languages, load_language

TASKS = {
    "belebele": "Belebele, reading",
    "cmmlu": "CMMLU",
    "flores": "FLORES",
    "global_mmlu": "Global-MMLU",
    "global_mmlu_lite": "Global-MMLU-Lite",
    "gsm8k": "GSM8K, sums",
    "gsm8k_translated": "GSM8K translated, sums",
    "iapp": "iapp, reading",
    "indommlu": "IndoMMLU",
    "indoqa": "IndoQA, reading",
    "m3exam": "M3Exam",
    "mgsm": "MGSM, sums",
    "mmlu": "MMLU",
    "multijail": "MultiJail",
    "mynews": "myNews, topics",
    "ntrex": "NTREX",
    "nusax": "NusaX, sentiment",
    "parallel": "Parallel sentences",
    "paraphrase": "Paraphrase pairs",
    "policy": "Policy pack",
    "quiz": "Knowledge quiz",
    "seasafeguard_cultural_gen": "SEA-SafeguardBench, cultural content",
    "seasafeguard_cultural_wild": "SEA-SafeguardBench, cultural in the wild",
    "seasafeguard_general": "SEA-SafeguardBench, general",
    "sib200": "SIB-200, topics",
    "thaiexam": "ThaiExam",
    "tydiqa": "TyDiQA, reading",
    "vmlu": "VMLU",
    "wisesight": "Wisesight, sentiment",
    "xcopa": "XCOPA, cause or effect",
    "xlsum": "XL-Sum, summaries",
    "xquad": "XQuAD, reading",
    "xsafety": "XSafety",
}
DIRECTION = re.compile(r"(?P<name>.+)_(?P<way>from|to)_(?P<code>[a-z]{2,3})")
LANGUAGE_COLOURS = 9  # beside the base language's


def page_engine(
    languages: Sequence[str], pieces: Iterable[Callable[..., object]], key_of: KeyOf = model_key
) -> Environment:
    """The template engine of a page.

    Args:
        languages: whose colours the page needs; the first is the base language.
        pieces: functions that the page's own templates use, beside the shared ones.
        key_of: under which key a model has its colour and sign.
    """
    engine = Environment(
        loader=PackageLoader("seallm.evaluate", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )

    def language_class(code: str) -> str:
        """Colour of a language: the base language has its own, others take turns, what is not of the run has none."""
        if code not in languages:
            return "l-none"
        place = languages.index(code)
        return f"l-{0 if place == 0 else 1 + (place - 1) % LANGUAGE_COLOURS}"

    shared: list[Callable[..., object]] = [
        axis_names,
        lanes_title,
        native_name,
        radar_has_chance,
        task_title,
        values_of,
    ]
    engine.globals.update({piece.__name__: piece for piece in (*shared, language_class, language_name, *pieces)})
    engine.globals.update({name: getattr(report_plots, name) for name in report_plots.CHARTS})
    engine.globals.update({name: getattr(report_text, name) for name in report_text.WORDS})
    engine.globals["model_key"] = key_of
    engine.globals["safety_points"] = safety_points
    for chart in (report_plots.lanes, report_plots.radar, report_plots.sign, safety_map):
        engine.globals[chart.__name__] = functools.partial(chart, key_of=key_of)
    return engine


def render_page(engine: Environment, template: str, **values: object) -> str:
    """The page as HTML; the template's values, and `title` for the window."""
    style, script = (engine.get_template(f"report.{kind}.j2").render() for kind in ("css", "js"))
    policy = f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; base-uri 'none'"
    page = {"style": Markup(style), "script": Markup(script), "policy": policy}
    return engine.get_template(template).render(**page, **values)


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")


def native_name(code: str) -> str:
    """A language's name in itself; empty where it has no file."""
    return load_language(code).native_name if code in known_languages() else ""


def task_title(task: str) -> str:
    """A task's name for readers: `m3exam_text` -> `M3Exam, without letters`, `ntrex_from_km` -> `NTREX from Khmer`."""
    direction = DIRECTION.fullmatch(task)
    if direction and direction["name"] in TASKS:
        way = {"from": "from", "to": "into"}[direction["way"]]
        return f"{TASKS[direction['name']]} {way} {language_name(direction['code'])}"
    exam = task.removesuffix("_text")
    if exam != task and exam in TASKS:
        return f"{TASKS[exam].split(',')[0]}, without letters"
    return TASKS.get(task) or report_text.label(task)


def axis_names(axes: Iterable[Figures], key: str) -> list[str]:
    """Names at the corners of a radar chart."""
    name = language_name if key == "by_language" else lambda task: task_title(task).split(",")[0]
    return [name(axis["name"]) for axis in axes]


def radar_has_chance(radar: Figures) -> bool:
    """True where one of the two charts can draw chance."""
    return any(radar[key] and all(a["chance"] is not None for a in radar[key]) for key in ("by_task", "by_language"))


def values_of(task: Figures) -> list[float | None]:
    """Every value and interval end of a task: what its axis must hold."""
    return [cell[k] for row in task["rows"] for cell in row["cells"] for k in ("value", "low", "high")]


def lanes_title(row: Figures, task: Figures) -> str:
    """One row of a results table in words."""
    cells = [f"{c['model']} {report_text.quantity(c['value'], task['unit'])}" for c in row["cells"]]
    return f"{task_title(task['task'])}, {language_name(row['language'])}: {', '.join(cells)}"
