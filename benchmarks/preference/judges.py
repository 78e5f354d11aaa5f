"""How often each judge is right on pairs whose better answer is known, by kind of pair and by language.

verdict          the model is asked in English, in both orders; the mean of both decides
verdict, native  the same in the language of the pair
fluency          log-probability per byte, given the question
relevance        what the question adds to the log-probability of the answer
likelihood       fluency and relevance, each by its usual size: what the stage does by default
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.preference.known_pairs import KINDS, LANGUAGES, Known
from benchmarks.training.tables import print_table
from seallm.base.runtime import Runtime
from seallm.model.chat_format import ChatFormat
from seallm.model.checkpoints import load_model, load_tokenizer
from seallm.model.judge_format import load_template
from seallm.prefer.figures import rate
from seallm.prefer.judge import Judgement, Pair, Scale, Words, fit_scale, likelihood_scores, verdict_scores

BATCH_TOKENS = 4_096


def run(name: str, stage: Path, test: Sequence[Known], threads: int) -> dict[str, Any]:
    """Judge all pairs in every way; accuracies with 95 % Wilson intervals."""
    folder = stage / "model"
    model, chat = load_model(folder, Runtime(device="cpu", threads=threads)), ChatFormat(load_tokenizer(folder))
    pairs = [Pair(k.language, k.question, k.better, k.worse) for k in test]
    judged: dict[str, list[Judgement | None]] = {}
    for way, templates in (
        ("verdict", {code: load_template("en") for code in LANGUAGES}),
        ("verdict, native", {code: load_template(code) for code in LANGUAGES}),
    ):
        words = Words({code: template.criteria for code, template in templates.items()}, templates)
        scores = verdict_scores(model, chat, pairs, words, BATCH_TOKENS)
        scale = fit_scale(scores)
        judged[way] = [scale.judgement(s) for s in scores]
    scores = likelihood_scores(model, chat, pairs, BATCH_TOKENS)
    for way in ("fluency", "relevance"):
        judged[way] = [Scale({way: 1.0}, 0.0).judgement(s) for s in scores]
    scale = fit_scale(scores)
    judged["likelihood"] = [scale.judgement(s) for s in scores]
    found = {way: _figures(test, judgements) for way, judgements in judged.items()}
    _print(name, found)
    return found


def _figures(test: Sequence[Known], judgements: Sequence[Judgement | None]) -> dict[str, Any]:
    both = [(k, j) for k, j in zip(test, judgements, strict=True) if j is not None]
    groups = {"all": both}
    groups |= {kind: [(k, j) for k, j in both if k.kind == kind] for kind in KINDS}
    groups |= {code: [(k, j) for k, j in both if k.language == code] for code in LANGUAGES}
    right = {name: rate(sum(j.margin > 0 for _, j in group), len(group)) for name, group in groups.items()}
    consistent = [j for _, j in both if j.outcome in ("first", "second")]
    return {
        "accuracy": right,
        "consistency": rate(len(consistent), len(both)),
        "accuracy_of_consistent": rate(sum(j.margin > 0 for j in consistent), len(consistent)),
        "first_position_rate": rate(
            sum((j.forward > 0) + (j.swapped > 0) for _, j in both if j.forward != -j.swapped),
            2 * sum(j.forward != -j.swapped for _, j in both),
        ),
    }


def percent(found: dict[str, Any] | None) -> str:
    """`86 % (81-90)`."""
    if found is None:
        return "-"
    return f"{100 * found['value']:.0f} % ({100 * found['low']:.0f}-{100 * found['high']:.0f})"


def _print(name: str, found: dict[str, Any]) -> None:
    n = found["verdict"]["accuracy"]["all"]["n"]
    columns = ("all", *KINDS)
    rows = []
    for way, f in found.items():
        agree = percent(f["consistency"]) if way.startswith("verdict") else "-"
        rows.append([way, *(percent(f["accuracy"][c]) for c in columns), agree])
    print_table(("judge", *columns, "consistent"), rows, f"{name}: right on known pairs, n = {n}, 95 % intervals")
    rows = [[way, *(percent(f["accuracy"][code]) for code in LANGUAGES)] for way, f in found.items()]
    print_table(("judge", *LANGUAGES), rows, f"{name}: the same by language")
