"""Tokenizers and parallel sentences in, tokens for the same meaning out, relative to English under a reference.

This is the paper's Table 1: how many times the tokens of an English sentence its translation costs.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from tokenizers import Tokenizer

from seallm.base.errors import DataError
from seallm.vocab.compression import count_tokens

Sentences = Mapping[str, Sequence[str]]

# arXiv 2312.00738, Table 1, on the paper's own test text; unit: English under ChatGPT's tokenizer (cl100k)
PAPER: dict[str, dict[str, float]] = {
    "ChatGPT (paper)": {
        "en": 1.00, "vi": 4.41, "zh": 2.80, "th": 9.09, "id": 2.00, "km": 15.56, "lo": 13.29, "ms": 2.07, "my": 17.11,
        "tl": 2.28,
    },
    "Llama-2 (paper)": {
        "en": 1.19, "vi": 3.46, "zh": 2.36, "th": 5.10, "id": 2.09, "km": 12.14, "lo": 13.50, "ms": 2.16, "my": 9.85,
        "tl": 2.22,
    },
    "SeaLLM (paper)": {
        "en": 1.19, "vi": 1.48, "zh": 1.40, "th": 1.87, "id": 1.36, "km": 2.67, "lo": 2.07, "ms": 1.50, "my": 1.93,
        "tl": 1.91,
    },
}  # fmt: skip


def measure(
    tokenizers: Mapping[str, Tokenizer],
    texts: Mapping[str, Sentences],
    reference: tuple[str, Tokenizer] | None = None,
) -> dict[str, Any]:
    """Count tokens and divide.

    Args:
        tokenizers: by name.
        texts: the sentences by form (`canonical`, `raw`), each by language, the unit's language first.
        reference: name and tokenizer whose count of the first language is the unit; absent: the first tokenizer.

    Returns:
        `reference`, `sentences`, and `forms`: by form and tokenizer the `tokens` and `ratios` by language, and `mean`
        and `worst` of the ratios over the languages beside the first.

    Raises:
        DataError: there is only one language, or no sentence.
    """
    languages = list(next(iter(texts.values())))
    first = languages[0]
    if len(languages) < 2 or not next(iter(texts.values()))[first]:
        raise DataError(f"Parallel sentences need two languages or more and a sentence; found {', '.join(languages)}")
    name, unit_tokenizer = reference or next(iter(tokenizers.items()))
    forms = {}
    for form, sentences in texts.items():
        unit = count_tokens(unit_tokenizer, sentences[first])
        counted = {t: {code: count_tokens(tk, s) for code, s in sentences.items()} for t, tk in tokenizers.items()}
        forms[form] = {t: {"tokens": tokens, **summary(tokens, unit)} for t, tokens in counted.items()}
    return {
        "reference": f"{first} with {name}",
        "sentences": len(next(iter(texts.values()))[first]),
        "languages": languages,
        "forms": forms,
    }


def summary(tokens: Mapping[str, int], unit: int) -> dict[str, Any]:
    """Ratios to the unit, and their mean and worst over the languages beside the first."""
    ratios = {code: count / unit for code, count in tokens.items()}
    others = list(ratios.values())[1:]
    return {
        "ratios": {code: round(ratio, 4) for code, ratio in ratios.items()},
        "mean": round(sum(others) / len(others), 4),
        "worst": round(max(others), 4),
    }


def paper_rows(languages: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The paper's rows for those of the languages that it has; none where it lacks one."""
    first = languages[0]
    known = [code for code in languages if all(code in row for row in PAPER.values())]
    if first != "en" or len(known) < 2:
        return {}
    rows = {}
    for name, row in PAPER.items():
        others = [row[code] for code in known[1:]]
        rows[name] = {
            "ratios": {code: row[code] for code in known},
            "mean": round(sum(others) / len(others), 4),
            "worst": max(others),
        }
    return rows
