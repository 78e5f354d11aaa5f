"""Two tokenizers and parallel sentences in, tokens for the same meaning out, relative to English under the base."""

from collections.abc import Mapping, Sequence
from typing import Any

from tokenizers import Tokenizer


def count_tokens(tokenizer: Tokenizer, texts: Sequence[str]) -> int:
    """Tokens of all texts, without any that frame them."""
    return sum(len(encoding.ids) for encoding in tokenizer.encode_batch_fast(list(texts), add_special_tokens=False))


def measure_compression(base: Tokenizer, extended: Tokenizer, sentences: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Tokens per language before and after, each divided by those of the first language under the base tokenizer.

    This is the paper's Table 1 (section 2), with the base's own English as the unit instead of ChatGPT's.

    Args:
        base: the tokenizer before extension.
        extended: the tokenizer after.
        sentences: the same sentences in every language, the base language first.
    """
    before = {language: count_tokens(base, texts) for language, texts in sentences.items()}
    after = {language: count_tokens(extended, texts) for language, texts in sentences.items()}
    english = next(iter(sentences))
    unit = before[english]
    return {
        "reference": f"{english} with the base tokenizer",
        "sentences": len(sentences[english]),
        "before": {language: round(tokens / unit, 4) for language, tokens in before.items()},
        "after": {language: round(tokens / unit, 4) for language, tokens in after.items()},
        "tokens_before": before,
        "tokens_after": after,
        "english_tokens_before": before[english],
        "english_tokens_after": after[english],
    }
