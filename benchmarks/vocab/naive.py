"""What teams do first: hand new tokens to `add_tokens`, or write them into the vocabulary without merges."""

import json
from argparse import Namespace
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer

from benchmarks.vocab.bases import bases, reference
from benchmarks.vocab.data import LANGUAGES, canonical, sib200
from benchmarks.vocab.ratios import VARIANTS
from seallm.vocab.base_tokenizer import load_bpe
from seallm.vocab.compression import count_tokens
from seallm.vocab.tokenizer_places import open_tokenizer


def measure_naive(arguments: Namespace) -> dict[str, Any]:
    """By base: of the tokens that `ratios` learned, those that stay out of reach, and what the texts cost."""
    sentences = canonical(sib200(arguments.data, "dev"))
    unit = count_tokens(reference(arguments.tokenizers), sentences["en"])
    results = {}
    for name, base in bases(arguments.tokenizers, arguments.out / "bases").items():
        extended = arguments.out / f"{name}, {next(iter(VARIANTS[name]))}"
        if not extended.is_dir():
            print(f"{name}: run `ratios` first")
            continue
        document = json.loads(json.dumps(open_tokenizer(base).document))
        new = new_texts(base, extended)
        results[name] = {
            "tokens": len(new),
            "seallm": examine(open_tokenizer(extended).tokenizer, new, sentences, unit),
            "add_tokens, as spelled": examine(as_spelled(document, list(new)), new, sentences, unit),
            "add_tokens, as text": examine(with_added(document, list(new.values())), new, sentences, unit),
            "vocabulary without merges": examine(without_merges(document, list(new)), new, sentences, unit),
        }
        for way, found in list(results[name].items())[1:]:
            print(f"{name:8} {way:26} {found}", flush=True)
    return results


def new_texts(base: Path, extended: Path) -> dict[str, str]:
    """Tokens that are whole text, with that text."""
    old, new = open_tokenizer(base).bpe(), load_bpe(extended)
    spelled = {token: new.bytes_of(token) for token in new.vocabulary if token not in old.vocabulary}
    decoded = {token: text.decode("utf-8", "replace") for token, text in spelled.items()}
    return {token: text for token, text in decoded.items() if "\ufffd" not in text}


def as_spelled(document: dict[str, Any], tokens: list[str]) -> Tokenizer:
    """The base after `add_tokens` with the vocabulary's own spelling, "▁" or "Ġ" for a space."""
    tokenizer = Tokenizer.from_str(json.dumps(document))
    tokenizer.add_tokens(tokens)
    return tokenizer


def with_added(document: dict[str, Any], texts: list[str]) -> Tokenizer:
    """The base after `add_tokens` with the text that each token stands for."""
    tokenizer = Tokenizer.from_str(json.dumps(document))
    tokenizer.add_tokens([AddedToken(text, normalized=False) for text in texts])
    return tokenizer


def without_merges(document: dict[str, Any], tokens: list[str]) -> Tokenizer:
    """The base with new entries in its vocabulary and the merges it had."""
    vocabulary = dict(document["model"]["vocab"])
    first = 1 + max([*vocabulary.values(), *(entry["id"] for entry in document["added_tokens"])])
    vocabulary.update({token: first + k for k, token in enumerate(tokens)})
    return Tokenizer.from_str(json.dumps({**document, "model": {**document["model"], "vocab": vocabulary}}))


def examine(
    tokenizer: Tokenizer, new: dict[str, str], sentences: dict[str, list[str]], unit: int
) -> dict[str, float | int]:
    """Tokens that neither their own text nor that text behind a line break produces, ratios, and texts that change."""
    out_of_reach = sum(not _is_reachable(tokenizer, text, {token, text}) for token, text in new.items())
    counts = {code: count_tokens(tokenizer, lines) for code, lines in sentences.items()}
    lines = [line for code in LANGUAGES for line in sentences[code]]
    ids = [e.ids for e in tokenizer.encode_batch_fast(lines, add_special_tokens=False)]
    return {
        "unreachable": out_of_reach,
        "mean_ratio": round(sum(counts[code] for code in LANGUAGES[1:]) / 9 / unit, 3),
        "english_tokens": counts["en"],
        "changed_by_decoding": sum(a != b for a, b in zip(lines, tokenizer.decode_batch(ids), strict=True)),
        "lines": len(lines),
    }


def _is_reachable(tokenizer: Tokenizer, text: str, spellings: set[str]) -> bool:
    trials = (text, text.removeprefix(" "), "\n" + text)
    return any(spellings & set(tokenizer.encode(trial, add_special_tokens=False).tokens) for trial in trials)
