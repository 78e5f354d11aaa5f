"""A tokenizer and parallel sentences in, what its pre-tokenizer forbids out, and the repair with its proof.

The floor of a language is its pre-tokens relative to those of the first language: merges never cross a pre-token, so no
vocabulary however large needs fewer tokens. NFC and NFD are two spellings of the same text; a
tokenizer that is not told to normalise pays for the second.
"""

import copy
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from seallm.vocab.base_tokenizer import BpeTokenizer, parse_bpe
from seallm.vocab.certificate_texts import plain_samples
from seallm.vocab.compression import count_tokens
from seallm.vocab.encoding_checks import check_mark_free
from seallm.vocab.pretokenizer import explicit_steps, letters_only_patterns, pieces_relative, repair
from seallm.vocab.scripts import is_mark
from seallm.vocab.vocabulary_checks import Check


@dataclass(frozen=True)
class Diagnosis:
    """What was found.

    Attributes:
        patterns: regexes that cut text before merges, in order.
        letters_only: those among them that end a word at every combining mark.
        normal_form: `NFC`, `NFD`, ... where the tokenizer normalises text; None where it does not.
        mark_shares: by language, combining marks among the characters.
        floors: by language, pre-tokens relative to the first language; None where nothing is cut.
        floors_repaired: the same with marks admitted; None where there is nothing to repair.
        decomposed_costs: by language, tokens of the text in NFD relative to NFC.
        repaired: the tokenizer with marks admitted; None where there is nothing to repair.
        proof: that ids of texts without marks stay as they are.
    """

    patterns: Sequence[str]
    letters_only: Sequence[str]
    normal_form: str | None
    mark_shares: Mapping[str, float]
    floors: Mapping[str, float] | None
    floors_repaired: Mapping[str, float] | None
    decomposed_costs: Mapping[str, float]
    repaired: BpeTokenizer | None
    proof: Check | None

    def document(self) -> dict[str, Any]:
        """All of it but the tokenizer, for JSON."""
        proof = self.proof
        return {
            "patterns": list(self.patterns),
            "letters_only_patterns": list(self.letters_only),
            "repaired_patterns": patterns_of(self.repaired.document) if self.repaired else None,
            "normal_form": self.normal_form,
            "mark_shares": dict(self.mark_shares),
            "floors": self.floors,
            "floors_repaired": self.floors_repaired,
            "decomposed_costs": dict(self.decomposed_costs),
            "proof": proof and {"claim": proof.claim, "figures": dict(proof.figures), "offence": proof.offence},
        }


def examine(tokenizer: BpeTokenizer, sentences: Mapping[str, Sequence[str]]) -> Diagnosis:
    """Look at a tokenizer's pre-tokenizer through parallel sentences.

    Args:
        tokenizer: byte-level or SentencePiece-style BPE.
        sentences: the same sentences in every language, the base language first.
    """
    letters_only = letters_only_patterns(tokenizer.document)
    repaired = parse_bpe(repair(tokenizer.document), tokenizer.where) if letters_only else None
    plain = [text for texts in plain_samples().values() for text in texts]
    every = [*plain, *(sentence for lines in sentences.values() for sentence in lines)]
    return Diagnosis(
        patterns_of(tokenizer.document),
        letters_only,
        _normal_form(tokenizer.document),
        {code: round(_mark_share(lines), 4) for code, lines in sentences.items()},
        pieces_relative(tokenizer, sentences),
        pieces_relative(repaired, sentences) if repaired else None,
        {code: round(_decomposed_cost(tokenizer, lines), 4) for code, lines in sentences.items()},
        repaired,
        check_mark_free(tokenizer, repaired, every) if repaired else None,
    )


def patterns_of(document: Mapping[str, Any]) -> list[str]:
    """Regexes of a `tokenizer.json` that cut text before merges, in order."""
    steps = [step for step in explicit_steps(document) if step["type"] == "Split"]
    return [copy.copy(step["pattern"]["Regex"]) for step in steps if "Regex" in step["pattern"]]


def _normal_form(document: Mapping[str, Any]) -> str | None:
    def types(step: Mapping[str, Any] | None) -> list[str]:
        if step is None:
            return []
        return [step["type"], *(kind for inner in step.get("normalizers", ()) for kind in types(inner))]

    return next((kind for kind in types(document.get("normalizer")) if kind in ("NFC", "NFD", "NFKC", "NFKD")), None)


def _mark_share(lines: Sequence[str]) -> float:
    return sum(is_mark(c) for line in lines for c in line) / max(1, sum(map(len, lines)))


def _decomposed_cost(tokenizer: BpeTokenizer, lines: Sequence[str]) -> float:
    composed, decomposed = ([unicodedata.normalize(form, line) for line in lines] for form in ("NFC", "NFD"))
    return count_tokens(tokenizer.tokenizer, decomposed) / max(1, count_tokens(tokenizer.tokenizer, composed))
