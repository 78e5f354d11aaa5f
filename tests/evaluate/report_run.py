"""A made-up run of ten languages: the files of all stages that the report reads, with plausible figures."""

import json
import math
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from seallm.base.artifacts import StageContext
from seallm.base.records import DOCUMENT_SCHEMA
from seallm.base.runtime import Runtime
from seallm.evaluate.judge import figures
from seallm.evaluate.judge_agreement import order_figures
from seallm.evaluate.judge_cases import Case
from seallm.evaluate.report import run
from seallm.recipe import Recipe
from tests.evaluate.judged import QUESTIONS, verdicts

LANGUAGES = ("en", "zh", "vi", "id", "th", "ms", "km", "lo", "my", "tl")
MODELS = ("base", "pretrain", "hybrid", "sft", "dpo")
SENTENCES = {
    "en": "Boil the rice in plenty of water, then let it rest with the lid on for ten minutes.",
    "zh": "先把米洗净，加水煮开，再用小火焖十分钟就可以了。",
    "vi": "Bạn vo gạo, đổ nước vừa đủ rồi đun nhỏ lửa khoảng mười phút là cơm chín.",
    "id": "Cuci beras, tambahkan air secukupnya, lalu masak dengan api kecil selama sepuluh menit.",
    "th": "ล้างข้าวให้สะอาด เติมน้ำพอท่วม แล้วหุงด้วยไฟอ่อนประมาณสิบนาทีก็รับประทานได้",
    "ms": "Basuh beras, masukkan air secukupnya, kemudian masak dengan api perlahan selama sepuluh minit.",
    "km": "លាងអង្ករឱ្យស្អាត ដាក់ទឹកឱ្យល្មម រួចដាំដោយភ្លើងតិចៗប្រហែលដប់នាទីទើបឆ្អិន។",
    "lo": "ລ້າງເຂົ້າໃຫ້ສະອາດ ໃສ່ນ້ຳພໍດີ ແລ້ວຫຸງດ້ວຍໄຟອ່ອນປະມານສິບນາທີກໍກິນໄດ້",
    "my": "ဆန်ကို ဆေးပြီး ရေကို သင့်တော်သလောက်ထည့်ကာ မီးအေးအေးဖြင့် ဆယ်မိနစ်ခန့် ချက်ပါ။",
    "tl": "Hugasan ang bigas, lagyan ng sapat na tubig, at lutuin sa mahinang apoy nang sampung minuto.",
}
BEFORE = dict(zip(LANGUAGES, (1.0, 2.9, 3.4, 1.9, 8.8, 1.95, 12.9, 12.1, 14.7, 2.1), strict=True))
AFTER = dict(zip(LANGUAGES, (1.0, 1.5, 1.6, 1.35, 1.9, 1.4, 2.4, 2.2, 2.3, 1.6), strict=True))
REASONS = {"language": 0.11, "short": 0.08, "near_duplicate": 0.07, "exact_duplicate": 0.05, "top_ngram": 0.03}
REASONS |= {"symbols": 0.02, "harm": 0.012, "stop_words": 0.009}
RECIPE: dict[str, Any] = {
    "name": "ten-languages",
    "seed": 7,
    "languages": list(LANGUAGES),
    "compute": {"workers": 2},
    "base": {"train": {"documents": ["sample:base/english.jsonl.gz"]}},
    "corpus": {"inputs": ["sample:web/*.warc.gz"]},
    "vocab": {"parallel": "sample:parallel"},
    "pretrain": {"mixtures": [{"name": "high", "tiers": ["high"], "tokens": 600_000}]},
    "evaluate": {"tasks": ["quiz", "xcopa", "xquad", "ntrex"], "data": "sample:bench"},
}


def write_json(path: Path, value: object) -> None:
    """ASCII alone, so that a value may hold anything JSON can escape, such as half a surrogate pair."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="ascii")


def write_json_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="ascii")


def write_run(folder: Path, text: str | None = None, seconds: float = 12.5) -> dict[str, Path]:
    """The folders of all stages of a run; `text` stands in place of every free text."""
    stages = ("instructions", "base", "corpus", "vocab", "pretrain", "hybrid", "sft", "prefer", "dpo", "evaluate")
    inputs = {name: folder / name for name in stages}
    write_instructions(inputs, text)
    write_corpus(inputs["corpus"], text)
    ratios = {"before": BEFORE, "after": AFTER, "reference": "en with the base tokenizer", "sentences": 500}
    write_json(inputs["vocab"] / "compression.json", ratios)
    added = {"by_language": {code: 40 * k for k, code in enumerate(LANGUAGES)}}
    write_json(inputs["vocab"] / "tokens_added.json", added)
    checks = [{"claim": "old ids unmoved", "passed": True, "figures": {"tokens": 1500, "moved": 0}, "offence": None}]
    checks += [{"claim": "round trip exact", "passed": text is None, "figures": {"texts": 5200}, "offence": text}]
    certificate = {"checks": checks, "vocabulary_before": 1500, "vocabulary_after": 4500}
    write_json(inputs["vocab"] / "certificate.json", certificate)
    write_training(inputs)
    write_preferences(inputs, text)
    write_evaluation(inputs["evaluate"], text)
    write_judged(inputs["evaluate"], text)
    for k, path in enumerate(inputs.values()):
        manifest = {
            "seconds": seconds * (k + 1),
            "timings": {"tokens_per_second": 400 * seconds, "read": {"seconds": seconds}},
            "versions": {"seallm": "0.1.0", "python": "3.11.9", "torch": "2.13.0", "machine": "x86_64"},
        }
        write_json(path / "manifest.json", manifest)
    return inputs


def write_instructions(inputs: dict[str, Path], text: str | None) -> None:
    """Three sources of conversations in two categories, imported preferences, and the loss of what was held out."""
    folder, parts = inputs["instructions"], {"hybrid": 0, "sft": 60, "held_out": 3, "left_over": 7}
    cells = [
        {"language": code, "category": category, "source": text or source, "licence": text or licence, **own}
        for code in LANGUAGES
        for category in ("math-logic", "safety")
        for source, licence in (("alpaca", "CC-BY-4.0"), ("sharegpt", ""), ("made", "CC0-1.0"))
        for own in [{**parts, "hybrid": 240 if code == "en" else 0}]
    ]
    write_json(folder / "mix.json", [{**cell, "all": sum(int(cell[part]) for part in parts)} for cell in cells])
    dropped = {"near_duplicate": 5, "turn_language": 2}
    checks = {
        "quarantined": 4,
        "dropped": {"language": 30, **{reason: number * len(LANGUAGES) for reason, number in dropped.items()}},
        "languages": {code: {"kept": 420, **dropped} for code in LANGUAGES},
        "other_languages": {"fr": 30},
        "checked_preferences": {"kept": 50, "exact_duplicate": 3},
    }
    write_json(folder / "checks.json", checks)
    pair = {"source": text or "ultrafeedback", "licence": text or "MIT", "language": "en"}
    write_json_lines(folder / "preferences.jsonl", [pair] * 50)
    losses = [(0, 3.0), (50, 1.0), (100, 1.5)]
    rows = [{"step": s, "language": c, "loss": v, "n": 3} for s, v in losses for c in (*LANGUAGES, "all")]
    write_json_lines(inputs["sft"] / "held_out.jsonl", rows)


def write_corpus(folder: Path, text: str | None) -> None:
    funnel: dict[str, dict[str, int]] = {}
    for k, code in enumerate(LANGUAGES):
        read = 300 + 170 * ((7 * k) % 10)
        parts = {reason: round(read * share * (0.4 + (k * 3 % 5) / 3)) for reason, share in REASONS.items()}
        kept = read - sum(parts.values())
        funnel[code] = {**parts, "read": read, "held_out": kept // 20, "kept_low": kept * 2 // 5}
        funnel[code]["kept_high"] = kept - funnel[code]["held_out"] - funnel[code]["kept_low"]
        rows = [
            {
                "id": f"{code}-{n}",
                "text": text or f"{SENTENCES[code]} " * 4,
                "language": code,
                "source": "web",
                "reason": r,
            }
            for n, r in enumerate(r for r in REASONS for _ in range(2))
        ]
        if text:
            rows = [{**row, "text": text.encode("utf-8", "replace").decode()} for row in rows]
        (folder / "dropped").mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(rows, DOCUMENT_SCHEMA), folder / "dropped" / f"{code}.parquet")
    write_json(folder / "funnel.json", {**funnel, "unknown": {"read": 90, "language": 90}})
    write_json_lines(folder / "quarantine.jsonl", [{"where": "web/a.warc.gz:3", "reason": "truncated"}])


def write_training(inputs: dict[str, Path]) -> None:
    noise = random.Random(3)
    shapes = {"base": (250, 7.3, 3.1), "hybrid": (49, 3.4, 2.9), "sft": (90, 3.0, 1.1), "dpo": (60, 0.693, 0.52)}
    for stage, (steps, first, last) in {**shapes, "pretrain": (220, 5.2, 3.2)}.items():
        rows = []
        for step in range(1, steps + 1):
            loss = last + (first - last) * math.exp(-5 * step / steps) + noise.gauss(0, 0.03 * last)
            mixture = ("high", "high+low", "replay")[min(2, 3 * step // steps)] if stage == "pretrain" else None
            rows.append({"step": step, "loss": loss, "tokens": 8192, "mixture": mixture})
        rows[5]["loss"] = float("nan")
        write_json_lines(inputs[stage] / "metrics.jsonl", rows)
    rows = []
    for k, code in enumerate(LANGUAGES):
        base = 2.1 if code == "en" else 2.6 + 0.3 * (k % 4)
        final = 2.14 if code == "en" else base * (0.62 - 0.03 * (k % 5))
        common = {"language": code, "documents": 20 + k, "bytes": 51_000 + 900 * k}
        rows.append({"step": "base", "bits_per_byte": base, "full": True, **common})
        for step in range(0, 221, 20):
            value = final + (1.25 * base - final) * math.exp(-step / 45)
            rows.append({"step": step, "bits_per_byte": value, "full": step in (0, 220), **common})
    write_json_lines(inputs["pretrain"] / "bits_per_byte.jsonl", rows)


def write_preferences(inputs: dict[str, Path], text: str | None) -> None:
    pair = [
        {
            "language": code,
            "scores": {},
            **{k: [{"role": r, "content": text or f"{SENTENCES[code]}"}] for k, r in roles},
        }
        for code in LANGUAGES
        for roles in [(("prompt", "user"), ("chosen", "assistant"), ("rejected", "assistant"))]
    ]
    write_json_lines(inputs["prefer"] / "preferences.jsonl", pair * 12)
    write_json_lines(inputs["prefer"] / "held_out.jsonl", pair * 3)
    counts = {
        "prompts": 300,
        "answers": 1200,
        "pairs": 960,
        "judged": 940,
        "consistent": 412,
        "inconsistent": 500,
        "ties": 28,
    }
    counts["dropped"] = {"empty": 31, "wrong language": 120, "same as another": 214, "pair too long to judge": 20}
    rates = {
        "consistency": share(412, 940),
        "first_position_rate": share(1020, 1880),
        "longer_chosen_rate": share(300, 400),
    }
    known = {"all": share(170, 220), "languages": {code: share(17, 22) for code in LANGUAGES}}
    figures = {
        "criteria": text or "helpful and correct",
        "all": {**counts, **rates},
        "judge_accuracy_on_known_pairs": known,
    }
    figures["languages"] = {code: {**counts, **rates, "longer_chosen_rate": None} for code in LANGUAGES}
    write_json(inputs["prefer"] / "judgements.json", figures)
    said = {"before": share(16, 30), "after": share(21, 30), "improved": True}
    write_json(inputs["dpo"] / "preference_accuracy.json", {**said, "sentence": text or "DPO improved 16 to 21 of 30."})


def share(hits: int, n: int) -> dict[str, float]:
    value = hits / n
    margin = 1.96 * math.sqrt(value * (1 - value) / n)
    return {"value": value, "n": n, "low": max(0.0, value - margin), "high": min(1.0, value + margin)}


def write_evaluation(folder: Path, text: str | None) -> None:
    rows: list[dict[str, Any]] = []
    skill = dict(zip(MODELS, (0.0, 0.35, 0.45, 0.9, 0.93), strict=True))

    def add(model: str, task: str, language: str, metric: str, **figure: Any) -> None:
        rows.append({"model": model, "task": task, "language": language, "metric": metric, "chance": None, **figure})

    for model in MODELS:
        for k, code in enumerate(LANGUAGES):
            hits = round(40 * (0.25 + 0.7 * skill[model] * (1 - 0.03 * k)))
            add(model, "quiz", code, "accuracy", **share(hits, 40) | {"chance": 0.25})
            if code in ("zh", "vi", "id", "th"):
                add(
                    model,
                    "xcopa",
                    code,
                    "accuracy",
                    **share(round(50 * (0.5 + 0.12 * skill[model])), 50) | {"chance": 0.5},
                )
            if code in ("en", "zh", "vi", "th"):
                add(model, "xquad", code, "f1", **share(round(50 * (0.04 + 0.3 * skill[model])), 50))
                add(model, "xquad", code, "exact_match", **share(round(50 * (0.01 + 0.2 * skill[model])), 50))
            if code != "en":
                score = 4 + 16 * skill[model] + k
                add(model, "ntrex_to_en", code, "chrf++", value=score, low=score - 2.5, high=score + 2.6, n=50)
                add(model, "ntrex_from_en", code, "chrf++", value=score - 2, low=score - 4, high=score, n=50)
            bits = 3 - 1.2 * skill[model] + 0.1 * k
            add(model, "parallel", code, "bits_per_byte", value=bits, low=bits - 0.1, high=bits + 0.1, n=50)
            if model in ("sft", "dpo"):
                add(model, "safety", code, "refusal_rate", **share(round(10 * skill[model]) - k % 3, 10))
                add(model, "safety", code, "unsafe_rate", **share(10 - round(10 * skill[model]) + k % 3, 10))
                add(model, "safety", code, "over_refusal_rate", **share(1 + k % 2, 10))
        add(
            model, "quiz", "all", "accuracy", **share(round(400 * (0.25 + 0.62 * skill[model])), 400) | {"chance": 0.25}
        )
        if model in ("sft", "dpo"):
            add(model, "safety", "all", "refusal_rate", **share(82, 100))
            add(model, "safety", "all", "unsafe_rate", **share(18, 100))
            add(model, "safety", "all", "over_refusal_rate", **share(15, 100))
    write_json(folder / "results.json", rows)
    samples = [
        {
            "model": model,
            "language": code,
            "prompt": text or prompt,
            "answer": text or f"{SENTENCES[code]}\n{SENTENCES[code]}",
        }
        for model in ("sft", "dpo")
        for code in LANGUAGES
        for prompt in (f"{SENTENCES[code]}?", f"({code}) {SENTENCES[code]}")
    ]
    write_json(folder / "samples.json", samples)


def write_judged(folder: Path, text: str | None) -> None:
    """What a judge said of two models: the later one wins three questions of four."""

    def decide(case: Case) -> str:
        return "AB"[case.models.index("sft" if int(case.question.key.split(":")[1]) % 4 == 0 else "dpo")]

    found = verdicts(decide, "pairwise", ["sft", "dpo"])
    settings = {"mode": "pairwise", "both_orders": True, "check_language": True, "questions_asked": len(QUESTIONS)}
    judged = {
        "judge": text or "dpo",
        "models": ["sft", "dpo"],
        "languages": ["en", "th", "lo"],
        "categories": ["task-solving", "math-reasoning", "natural-question"],
        "settings": settings,
        **figures(found, "pairwise"),
        "agreement": {"orders": order_figures(found, 0), "repeats": None, "gold": None},
    }
    write_json(folder / "judge" / "report.json", judged)


def report(inputs: dict[str, Path], out: Path, recipe: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
    """Run the stage; return the page and the figures."""
    settings = Recipe.model_validate(RECIPE | (recipe or {}))
    context = StageContext(out, inputs, tuple(settings.languages), settings.seed, Runtime(show_progress=False), out)
    run(settings, context)
    return (out / "report.html").read_text(encoding="utf-8"), json.loads(
        (out / "report.json").read_text(encoding="utf-8")
    )
