"""A run's stages in, the facts of its model card out; what a run does not know is None or empty, never guessed.

Licences are counted as the data name them: documents by tier in the corpus, conversations by source or file.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from seallm.base.artifacts import INSTRUCTIONS, MANIFEST, StageContext
from seallm.base.errors import DataError
from seallm.base.files import read_json_lines
from seallm.base.hub import is_hub_id
from seallm.evaluate.instruction_data import UNSTATED, instruction_sources
from seallm.evaluate.page_engine import task_title
from seallm.evaluate.report_data import TRAINING_STAGES, Figures, read_optional
from seallm.evaluate.report_headline import language_name
from seallm.evaluate.report_results import ALL
from seallm.languages import known_languages, load_language
from seallm.recipe import Recipe

CHAT_STAGES = ("sft", "dpo")
FEW_DOCUMENTS = 1_000  # a language with fewer kept documents is named among the limits
MAX_LICENCES = 12  # rows of a table; the rest is summed


def card_facts(figures: Figures, settings: Recipe, context: StageContext) -> Figures:
    """Everything the card says.

    Args:
        figures: of the report, from `read_figures`.
        settings: the whole recipe.
        context: `inputs` holds the finished folders.
    """
    inputs = context.inputs
    made = [stage for stage in TRAINING_STAGES if stage in inputs]
    final = made[-1] if made else None
    base = settings.base.model
    return {
        "name": settings.name,
        "seed": settings.seed,
        "final": final,
        "stages": figures["stages"],
        "is_chat": final in CHAT_STAGES,
        "base_model": base,
        "base_revision": settings.base.revision,
        "base_on_hub": base is not None and is_hub_id(base) and not (context.recipe_folder / base).exists(),
        "languages": [_language(code) for code in settings.languages],
        "corpus": figures["corpus"],
        "licences": document_licences(inputs.get("corpus"), settings.languages),
        "conversations": conversation_sources(settings, context),
        "vocab": figures["vocab"],
        "training": figures["training"],
        "bits_per_byte": figures["bits_per_byte"],
        "results": [_results(task, final) for task in figures["results"] if _results(task, final)["rows"]],
        "judged": figures["judged"],
        "preference": figures["preference"],
        "safety": _safety(figures["safety"], final),
        "chat_template": _chat_template(inputs[final] / "model") if final else None,
        "versions": _versions(inputs),
        "limits": limits(figures, settings, final),
    }


def _language(code: str) -> Figures:
    is_known = code in known_languages()
    return {"code": code, "name": language_name(code), "native": load_language(code).native_name if is_known else ""}


def document_licences(corpus: Path | None, languages: Sequence[str]) -> list[Figures]:
    """Rows {licence, high, low}: documents that were kept for training, by their stated licence, the most first."""
    if corpus is None:
        return []
    import pyarrow.parquet as parquet

    counts: dict[str, Counter[str]] = {}
    for tier in ("high", "low"):
        for code in languages:
            path = corpus / "documents" / f"{code}.{tier}.parquet"
            if path.is_file():
                for licence in parquet.read_table(path, columns=["licence"]).column(0).to_pylist():
                    counts.setdefault(licence or UNSTATED, Counter())[tier] += 1
    rows: list[Figures] = [{"licence": name, "high": n["high"], "low": n["low"]} for name, n in counts.items()]
    rows.sort(key=lambda row: (-row["high"] - row["low"], row["licence"]))
    rest = rows[MAX_LICENCES:]
    if rest:
        whole = {tier: sum(row[tier] for row in rest) for tier in ("high", "low")}
        rows = [*rows[:MAX_LICENCES], {"licence": f"{len(rest)} others", **whole}]
    return rows


def conversation_sources(settings: Recipe, context: StageContext) -> list[Figures]:
    """Rows {stage, place, conversations, licences}: what chat stages were trained on, as far as it was not made here.

    `conversations` is None where the files are not there any more. What came through [instructions] stands by source.
    """
    takers = [stage for stage in ("hybrid", "sft", "dpo") if getattr(settings, stage) is not None]
    if settings.dpo is not None and not settings.dpo.imported:
        takers.remove("dpo")
    found = instruction_sources(context.inputs.get(INSTRUCTIONS), takers)
    for stage in ("hybrid", "sft"):
        section = getattr(settings, stage)
        for place in getattr(section, "conversations", None) or ():
            licences: Counter[str] = Counter()
            try:
                for file in context.files([place]):
                    licences.update(
                        str(row.get("licence") or UNSTATED)
                        for _, row in read_json_lines(file)
                        if isinstance(row, dict) and file.suffix != ".json"
                    )
            except DataError:
                found.append({"stage": stage, "place": place, "conversations": None, "licences": []})
                continue
            total = sum(licences.values())
            found.append({"stage": stage, "place": place, "conversations": total, "licences": sorted(licences.items())})
    return found


def _results(task: Figures, final: str | None) -> Figures:
    """One task: rows of languages with the base model's and the final model's figures."""
    rows = []
    for row in task["rows"]:
        cells = {cell["model"]: cell for cell in row["cells"] if cell["value"] is not None}
        if final in cells:
            rows.append(
                {
                    "language": row["language"],
                    "chance": row["chance"],
                    "final": cells[final],
                    "base": cells.get("base") if final != "base" else None,
                }
            )
    return {**{key: task[key] for key in ("task", "metric", "title", "unit", "is_primary")}, "rows": rows}


def _safety(safety: Figures | None, final: str | None) -> Figures | None:
    found = [row for row in (safety or {}).get("models", []) if row["model"] == final]
    return found[0] if found else None


def _chat_template(folder: Path) -> str | None:
    """As the model's folder has it."""
    path = folder / "chat_template.jinja"
    if path.is_file():
        return path.read_text(encoding="utf-8")
    template = (read_optional(folder, "tokenizer_config.json") or {}).get("chat_template")
    return template if isinstance(template, str) else None


def _versions(inputs: Mapping[str, Path]) -> dict[str, str]:
    """Of the newest stage that wrote them."""
    found: dict[str, str] = {}
    for folder in inputs.values():
        found |= (read_optional(folder, MANIFEST) or {}).get("versions") or {}
    return found


def limits(figures: Figures, settings: Recipe, final: str | None) -> list[str]:
    """Sentences that follow from the figures, the worst first."""
    said = []
    near_chance = [
        f"{task_title(task['task'])} in {language_name(row['language'])}"
        for task in figures["results"]
        if task["is_primary"]
        for row in task["rows"]
        for cell in row["cells"]
        if cell["model"] == final
        and row["language"] != ALL
        and row["chance"] is not None
        and cell["low"] is not None
        and cell["low"] <= row["chance"]
    ]
    if near_chance:
        said.append(f"No better than guessing, as far as the intervals tell: {_list(near_chance)}.")
    kept = {row["language"]: row["kept"] for row in (figures["corpus"] or {}).get("rows", [])}
    few = [f"{language_name(c)} ({kept[c]:,})" for c in settings.languages if c in kept and kept[c] < FEW_DOCUMENTS]
    if few:
        said.append(f"Few documents to learn from: {_list(few)}.")
    for row in figures["bits_per_byte"]:
        base, last = row["base"], row["final"]
        if row["language"] == settings.languages[0] and base and last and last > base:
            name = language_name(row["language"])
            said.append(f"{name} was forgotten in part: {base:.3f} bits per byte before, {last:.3f} after.")
    if figures["safety"] is None:
        said.append("Safety was not measured.")
    else:
        said.append("Refusals were found by their wording: that measures manner, not harm.")
    if not figures["results"]:
        said.append("No benchmark was run.")
    said.append("No review by native speakers is recorded in the run.")
    return said


def _list(names: Sequence[str], most: int = 10) -> str:
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
