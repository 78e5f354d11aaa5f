"""Figures, settings and manifests in; the report's HTML out.

The templates hold the words and the order, this module what they cannot say shortly. Texts of documents and models are
escaped by the template engine; a content security policy that names the page's own script and style by their hashes
stops whatever would slip through.
"""

import base64
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from seallm.base.drop_reasons import reason_title
from seallm.evaluate import report_plots, report_text
from seallm.evaluate.report_data import KEPT, UNACCOUNTED, Figures
from seallm.evaluate.report_headline import language_name
from seallm.languages import known_languages, load_language
from seallm.recipe import Recipe

SECTIONS = {  # figures: (title, the stages that give them)
    "corpus": ("Corpus", "corpus"),
    "vocab": ("Vocabulary", "vocab"),
    "training": ("Training", "a stage that trains"),
    "bits_per_byte": ("Bits per byte", "pretrain"),
    "results": ("Results", "evaluate"),
    "preference": ("Preferences", "prefer or dpo"),
    "safety": ("Safety", "evaluate with safety_prompts"),
    "samples": ("Sample answers", "evaluate after sft"),
}
TASKS = {
    "quiz": "Knowledge quiz",
    "xcopa": "XCOPA, cause or effect",
    "xquad": "XQuAD, reading",
    "ntrex_from_en": "Translation from English",
    "ntrex_to_en": "Translation into English",
    "parallel": "Parallel sentences",
}
DROP_COLOURS = 6  # reasons with a colour of their own; the rest shares one
TRIFLE_SECONDS = 0.05
LANGUAGE_COLOURS = 9  # beside the base language's
Legend = list[tuple[str, str, list[str]]]


def render(figures: Figures, settings: Recipe, manifests: Mapping[str, Mapping[str, Any]]) -> str:
    """The page as HTML.

    Args:
        figures: what `report.json` holds.
        settings: the whole recipe.
        manifests: by stage, in running order; their timings are the only thing here that depends on a machine.
    """
    engine = _engine(figures["languages"])
    style, script = (engine.get_template(f"report.{kind}.j2").render() for kind in ("css", "js"))
    values = settings.model_dump(mode="json")
    compute = values.pop("compute")
    return engine.get_template("report.html.j2").render(
        f=figures,
        sections=SECTIONS,
        style=Markup(style),
        script=Markup(script),
        policy=f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; base-uri 'none'",
        base_model=settings.base.model or "a small model, trained in this run",
        seed=settings.seed,
        settings=report_text.toml_text(values),
        versions=_versions(manifests),
        compute=report_text.toml_text(compute),
        machines=sorted({str(m["versions"]["machine"]) for m in manifests.values() if "machine" in _of(m, "versions")}),
        stage_timings=[_timing(stage, manifest) for stage, manifest in manifests.items()],
    )


def _engine(languages: Sequence[str]) -> Environment:
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

    pieces: list[Callable[..., object]] = [axis_names, bar_parts, bits_axis, funnel_legend, funnel_parts, lanes_title]
    pieces += [last_step, native_name, radar_has_chance, reason_title, reference_name, task_title, values_of]
    pieces += [language_class, language_name]
    engine.globals.update({piece.__name__: piece for piece in pieces})
    engine.globals.update({name: getattr(report_plots, name) for name in report_plots.CHARTS})
    engine.globals.update({name: getattr(report_text, name) for name in report_text.WORDS})
    return engine


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")


def native_name(code: str) -> str:
    """A language's name in itself; empty where it has no file."""
    return load_language(code).native_name if code in known_languages() else ""


def task_title(task: str) -> str:
    """A task's name for readers."""
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


def bits_axis(rows: Sequence[Figures]) -> report_plots.Axis:
    """One axis for all languages, from zero."""
    values = [value for row in rows for part in (row, *row["tiers"]) for _, value in part["curve"]]
    values += [row["base"] for row in rows]
    return report_plots.linear_axis(values, "bits")


def last_step(rows: Iterable[Figures]) -> float:
    """The last step at which any language was measured."""
    return max((row["curve"][-1][0] for row in rows if row["curve"]), default=1)


def funnel_legend(corpus: Figures) -> Legend:
    """Colours of the funnel: (CSS class, name, keys it stands for): kept, then reasons by size, small ones together."""
    legend = [(f"k-{i}", report_text.label(key), [key]) for i, key in enumerate(KEPT)]
    reasons = [r for r in corpus["reasons"] if r != UNACCOUNTED]
    own = reasons if len(reasons) == DROP_COLOURS + 1 else reasons[:DROP_COLOURS]
    rest = reasons[DROP_COLOURS:]
    legend += [(f"r-{i}", reason_title(reason), [reason]) for i, reason in enumerate(own[:DROP_COLOURS])]
    if rest:
        legend.append(("r-rest", reason_title(rest[0]) if len(rest) == 1 else f"{len(rest)} other reasons", rest))
    if UNACCOUNTED in corpus["reasons"]:
        legend.append(("r-none", "not accounted for", [UNACCOUNTED]))
    return legend


def bar_parts(parts: Mapping[str, int]) -> list[tuple[str, str, int]]:
    """A bar of answers or pairs: what was kept first, in blue, then the reasons for the rest."""
    return [
        ("k-0" if k == 0 else f"r-{min(k, DROP_COLOURS) - 1}", report_text.label(name), number)
        for k, (name, number) in enumerate(parts.items())
        if number
    ]


def reference_name(vocab: Figures) -> str:
    """`en with ...` -> `English with ...`."""
    code, _, rest = vocab["reference"].partition(" ")
    return f"{language_name(code)} {rest}".strip()


def funnel_parts(row: Figures, legend: Legend) -> list[tuple[str, str, int]]:
    """One bar of the funnel: (CSS class, name, number of documents)."""
    sums = [(css, name, sum(row["parts"].get(key, 0) for key in keys)) for css, name, keys in legend]
    return [part for part in sums if part[2]]


def _of(manifest: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = manifest.get(key)
    return found if isinstance(found, Mapping) else {}


def _versions(manifests: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Package versions; where stages were made with different ones, all of them."""
    found: dict[str, set[str]] = {}
    for manifest in manifests.values():
        for package, version in _of(manifest, "versions").items():
            if package != "machine":
                found.setdefault(package, set()).add(str(version))
    return [(package, ", ".join(sorted(found[package]))) for package in found]


def _timing(stage: str, manifest: Mapping[str, Any]) -> Figures:
    """Seconds of a stage, and whatever else it measured of the machine: the longest parts first, trifles left out."""
    measured = dict(_flat(_of(manifest, "timings")))
    seconds = {k: v for k, v in measured.items() if k.endswith("seconds") and v >= TRIFLE_SECONDS}
    rest = {k: v for k, v in measured.items() if not k.endswith("seconds")}
    parts = [
        f"{key.removesuffix('seconds').strip()} {report_text.quantity(seconds[key], 'number')} s"
        for key in sorted(seconds, key=lambda k: (-seconds[k], k))
    ]
    parts += [f"{key} {value:,.6g}" for key, value in rest.items()]
    return {"stage": stage, "seconds": report_text.finite(manifest.get("seconds")), "measured": parts}


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    """Numbers of nested figures, by the words that lead to them."""
    for key, value in values.items():
        number = report_text.finite(value)
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key} ")
        elif number is not None:
            yield report_text.label(f"{prefix}{key}"), number
