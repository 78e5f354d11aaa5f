"""The same text through three learners: seallm's, and two published ones in plain Python.

All start from the Llama-2 tokenizer with the same missing characters added and the same pieces, so that only the choice
of merges differs. The published ones are kept from merging byte pieces, and across scripts, spaces and digits, as
continued BPE's own rules for SentencePiece tokenizers say. Their clock runs while they learn, seallm's from the text to
the merges; it counts seconds of the processor, so that other work on the machine does not matter.
"""

import json
import time
import unicodedata
from argparse import Namespace
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any

from tokenizers import Tokenizer

from benchmarks.vocab.bases import reference
from benchmarks.vocab.data import LANGUAGES, language_texts, test_sets
from benchmarks.vocab.plain_merges import Pair, Words, continued_bpe, parity_aware
from seallm.recipe_vocab import Vocab
from seallm.vocab.base_tokenizer import BpeTokenizer, load_bpe
from seallm.vocab.bpe import BpeEncoder
from seallm.vocab.compression import count_tokens
from seallm.vocab.expansion import Expansion, LanguageTexts, expand
from seallm.vocab.extend import extended_document
from seallm.vocab.measure import summary
from seallm.vocab.pieces import count_pieces
from seallm.vocab.pretokenizer import PreTokenizer
from seallm.vocab.scripts import is_mark, script_of

MAX_PIECE_CHARACTERS = 16  # SentencePiece's default, which continued BPE keeps


def measure_peers(arguments: Namespace) -> dict[str, Any]:
    """Ratios on the canonical test sets, processor time, and English changed, by learner."""
    base = load_bpe(arguments.tokenizers / "llama2")
    texts = [
        (t.language, list(t.corpus), t.development) for t in language_texts(arguments.data, arguments.peer_megabytes)
    ]
    tests = {k: v for k, v in test_sets(arguments.data).items() if not k.endswith("raw")}
    unit_tokenizer = reference(arguments.tokenizers)
    units = {name: count_tokens(unit_tokenizer, sentences["en"]) for name, sentences in tests.items()}
    results: dict[str, Any] = {}

    def record(name: str, seconds: float, symbols: dict[str, int], merges: Sequence[tuple[str, str, int]]) -> None:
        tokenizer = Tokenizer.from_str(json.dumps(extended_document(base, symbols, merges)))
        rows = {t: summary({c: count_tokens(tokenizer, s) for c, s in v.items()}, units[t]) for t, v in tests.items()}
        before = {t: count_tokens(base.tokenizer, v["en"]) / units[t] for t, v in tests.items()}
        results[name] = {
            "processor_seconds": round(seconds, 1),
            "new_tokens": len(symbols) + len({m[2] for m in merges}),
            **rows,
        }
        for test, row in rows.items():
            english = row["ratios"]["en"] / before[test] - 1
            print(
                f"{name:40} {seconds:7.1f} s  {test:12} mean {row['mean']:.3f} worst {row['worst']:.2f} English "
                f"{english:+.2%}  " + " ".join(f"{code} {row['ratios'][code]:.2f}" for code in LANGUAGES[1:]),
                flush=True,
            )

    first: Expansion | None = None
    for name, settings in _ours(arguments.new_tokens).items():
        started = time.process_time()
        found = expand(base, [LanguageTexts(*text) for text in texts], settings, lambda: None)
        symbols = {s.token: s.new_id for s in found.symbols}
        merges = [(m.left, m.right, m.new_id) for m in found.learned.merges]
        record(name, time.process_time() - started, symbols, merges)
        first = first or found
    assert first is not None
    symbols = {s.token: s.new_id for s in first.symbols}
    encoder = BpeEncoder(base, symbols, 0)
    cut = PreTokenizer(base)
    pieces = [count_pieces(corpus, cut) for _, corpus, _ in texts[1:]]
    development = [count_pieces(lines, cut) for _, _, lines in texts[1:]]
    for name, learn in _theirs(pieces, development, encoder, arguments.new_tokens - len(symbols)).items():
        started = time.process_time()
        pairs = list(learn())
        record(name, time.process_time() - started, symbols, _numbered(base, symbols, pairs))
    return results


def _ours(new_tokens: int) -> dict[str, Vocab]:
    """The first one's missing characters are given to the others' learners."""
    base = {"parallel": "-", "new_tokens": new_tokens}
    return {
        "seallm, corpus alone, no superwords": Vocab(**base, development_share=0.0, superwords=[]),
        "seallm, default": Vocab(**base),
    }


def _theirs(
    pieces: Sequence[Counter[str]], development: Sequence[Counter[str]], encoder: BpeEncoder, count: int
) -> dict[str, Callable[[], Iterable[Pair]]]:
    spelling = {token_id: token for token, token_id in encoder.vocabulary.items()}
    allowed = _rule({token for token in spelling.values() if token.startswith("<")})

    def tokens_of(texts: Sequence[str]) -> list[list[str]]:
        ids, ends = encoder.encode(texts)
        return [[spelling[k] for k in ids[ends[n] : ends[n + 1]].tolist()] for n in range(len(texts))]

    def words(by_language: Sequence[Counter[str]]) -> Words:
        counts: dict[str, dict[int, int]] = {}
        for language, found in enumerate(by_language):
            for piece, times in found.items():
                counts.setdefault(piece, {})[language] = times
        return Words(tokens_of(list(counts)), list(counts.values()))

    sentences = [dict(zip(map(tuple, tokens_of(list(found))), found.values(), strict=True)) for found in development]
    everything: Counter[str] = Counter()
    for found in pieces:
        everything.update(found)
    known = set(encoder.vocabulary)
    return {
        "continued BPE": lambda: continued_bpe(words([everything]), count, allowed, set(known)),
        "parity-aware BPE": lambda: parity_aware(words(pieces), sentences, count, allowed, set(known)),
        "parity-aware BPE, moving window": lambda: parity_aware(
            words(pieces), sentences, count, allowed, set(known), window=100
        ),
    }


def _rule(separate: set[str]) -> Callable[[str, str], bool]:
    """Continued BPE's rule for SentencePiece tokenizers: no byte pieces, one script, no inner space, no digit."""

    @cache
    def allowed(left: str, right: str) -> bool:
        token = left + right
        if left in separate or right in separate or len(token) > MAX_PIECE_CHARACTERS or "▁" in token[1:]:
            return False
        word = token.removeprefix("▁")
        if any(unicodedata.category(c) == "Nd" for c in word):
            return False
        return len({script_of(c) or "common" for c in word if not is_mark(c)}) <= 1

    return allowed


def _numbered(base: BpeTokenizer, symbols: dict[str, int], pairs: Sequence[Pair]) -> list[tuple[str, str, int]]:
    """Merges with the ids of their results; two merges of one spelling share an id."""
    ids: dict[str, int] = {**base.vocabulary, **symbols}
    next_id = 1 + max(max(ids.values()), base.next_id - 1)
    rows = []
    for left, right in pairs:
        if left + right not in ids:
            ids[left + right] = next_id
            next_id += 1
        rows.append((left, right, ids[left + right]))
    return rows
