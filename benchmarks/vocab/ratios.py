"""Three real tokenizers extended by the whole stage, certificate included, and what that does to each language."""

from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.vocab.bases import bases, reference
from benchmarks.vocab.data import LANGUAGES, SPACED_LATIN, test_sets, write_parallel
from seallm.base.files import read_json
from seallm.vocab.compression import count_tokens
from seallm.vocab.measure import PAPER, summary
from seallm.vocab.plots import plot_ratios
from seallm.vocab.tokenizer_places import open_tokenizer
from seallm.vocab_alone import Request, extend

REFERENCE = "en with cl100k_base"
# what the tables show beside the default settings; superwords of all four where no regex forbids it
VARIANTS: dict[str, dict[str, tuple[str, ...]]] = {
    "llama2": {
        "default": (),
        "superwords vi id ms tl": (f"superwords={list(SPACED_LATIN)!r}",),
        "no superwords": ("superwords=[]",),
        "corpus alone": ("superwords=[]", "development_share=0.0"),
    },
    "mistral": {"default": (), "superwords vi id ms tl": (f"superwords={list(SPACED_LATIN)!r}",)},
    "smollm2": {"default": (), "no superwords": ("superwords=[]",)},
}


def measure_ratios(arguments: Namespace) -> dict[str, Any]:
    """Ratios before and after, by base, variant, test set and language."""
    tests, unit_tokenizer = test_sets(arguments.data), reference(arguments.tokenizers)
    units = {name: count_tokens(unit_tokenizer, sentences["en"]) for name, sentences in tests.items()}
    parallel = write_parallel(arguments.data, arguments.out / "parallel")
    results: dict[str, Any] = {"reference": REFERENCE, "sentences": {name: len(t["en"]) for name, t in tests.items()}}
    for base_name, base in bases(arguments.tokenizers, arguments.out / "bases").items():
        if arguments.bases and base_name not in arguments.bases:
            continue
        before = ratios_of(base, tests, units)
        results[base_name] = {"before": before}
        for variant, overrides in VARIANTS[base_name].items():
            out = arguments.out / f"{base_name}, {variant}"
            settings = (f"new_tokens={arguments.new_tokens}", *overrides)
            request = Request(str(base), str(arguments.data / "docs"), str(parallel), LANGUAGES, settings)
            extend(request, out)
            found = {"after": ratios_of(out, tests, units), **_record(out)}
            results[base_name][variant] = found
            print_table(f"{base_name}, {variant} ({found['learn_seconds']} s)", before, found["after"])
        _plot(base_name, results[base_name], arguments.out)
    return results


def ratios_of(place: Path, tests: Mapping[str, Mapping[str, list[str]]], units: Mapping[str, int]) -> dict[str, Any]:
    """By test set: ratios by language, their mean and worst."""
    tokenizer = open_tokenizer(place).tokenizer
    counted = {name: {code: count_tokens(tokenizer, t) for code, t in sets.items()} for name, sets in tests.items()}
    return {name: summary(tokens, units[name]) for name, tokens in counted.items()}


def _record(out: Path) -> dict[str, Any]:
    """What the stage wrote down about a run."""
    manifest, certificate = read_json(out / "manifest.json"), read_json(out / "certificate.json")
    preserved = next(c["figures"] for c in certificate["checks"] if c["claim"].startswith("base language"))
    return {
        "learn_seconds": round(manifest["timings"]["learn_seconds"], 1),
        "certify_seconds": round(manifest["timings"]["certify_seconds"], 1),
        "by_language": certificate["by_language"],
        "whole_cluster_share": certificate["whole_cluster_share"],
        "certificate_passed": certificate["passed"],
        "preserved": preserved,
    }


def print_table(title: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """One line a test set before and after, with the paper's beside them."""
    paper = PAPER["SeaLLM (paper)"]
    print(f"\n{title}\n{'':30}" + " ".join(f"{code:>5}" for code in LANGUAGES) + "   mean worst  below the paper's")
    for name in after:
        for when, found in (("before", before[name]), ("after", after[name])):
            ratios = found["ratios"]
            below = sum(ratios[code] < paper[code] for code in LANGUAGES[1:])
            figures = " ".join(f"{ratios[code]:5.2f}" for code in LANGUAGES)
            print(f"{name + ', ' + when:30}{figures}  {found['mean']:.3f} {found['worst']:5.2f}  {below} of 9")
        english = after[name]["ratios"]["en"] / before[name]["ratios"]["en"] - 1
        print(f"{'':30}English {english:+.2%}")
    print(f"{'SeaLLM (paper)':30}" + " ".join(f"{paper[code]:5.2f}" for code in LANGUAGES), flush=True)


def _plot(base_name: str, found: Mapping[str, Any], out: Path) -> None:
    for name in ("SIB-200 dev", "NTREX-128"):
        series = {"before": found["before"][name]["ratios"], "SeaLLM (paper)": PAPER["SeaLLM (paper)"]}
        for variant in list(VARIANTS[base_name])[:2]:
            series[variant] = found[variant]["after"][name]["ratios"]
        plot_ratios(series, REFERENCE, out / f"{base_name}, {name}.png")
