"""Figures, settings and manifests in; the report's HTML out.

The templates hold the words and the order, this module what they cannot say shortly; `page_engine` is what all pages
share.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from seallm.base.drop_reasons import reason_title
from seallm.evaluate import judge_tables, report_plots, report_text
from seallm.evaluate.page_engine import page_engine, render_page
from seallm.evaluate.report_data import KEPT, UNACCOUNTED, Figures
from seallm.evaluate.report_headline import language_name
from seallm.recipe import Recipe

SECTIONS = {  # figures: (title, the stages that give them)
    "instructions": ("Instruction data", "[instructions]"),
    "corpus": ("Corpus", "corpus"),
    "vocab": ("Vocabulary", "vocab"),
    "training": ("Training", "a stage that trains"),
    "bits_per_byte": ("Bits per byte", "pretrain"),
    "results": ("Results", "evaluate"),
    "judged": ("Judged answers", "[evaluate.judge]"),
    "preference": ("Preferences", "prefer or dpo"),
    "safety": ("Safety", "evaluate with safety_prompts"),
    "samples": ("Sample answers", "evaluate after sft"),
}
DROP_COLOURS = 6  # reasons with a colour of their own; the rest shares one
TRIFLE_SECONDS = 0.05
Legend = list[tuple[str, str, list[str]]]


def render(figures: Figures, settings: Recipe, manifests: Mapping[str, Mapping[str, Any]]) -> str:
    """The page as HTML.

    Args:
        figures: what `report.json` holds.
        settings: the whole recipe.
        manifests: by stage, in running order; their timings are the only thing here that depends on a machine.
    """
    engine = page_engine(figures["languages"], PIECES)
    values = settings.model_dump(mode="json")
    compute = values.pop("compute")
    return render_page(
        engine,
        "report.html.j2",
        title=figures["name"],
        f=figures,
        sections=SECTIONS,
        results_text="Every model of the run on every task. Base and pretrain get plain prompts, chat models the chat "
        "format.",
        base_model=settings.base.model or "a small model, trained in this run",
        seed=settings.seed,
        settings=report_text.toml_text(values),
        versions=_versions(manifests),
        compute=report_text.toml_text(compute),
        machines=sorted({str(m["versions"]["machine"]) for m in manifests.values() if "machine" in _of(m, "versions")}),
        stage_timings=[_timing(stage, manifest) for stage, manifest in manifests.items()],
    )


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


PIECES = (  # for the templates
    *judge_tables.PIECES,
    *(bar_parts, bits_axis, funnel_legend, funnel_parts, last_step, reason_title, reference_name),
)
