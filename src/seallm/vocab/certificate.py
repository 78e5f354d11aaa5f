"""Base and extended tokenizer in, proof that nothing broke out.

Each check recomputes what it claims from the tokenizer files and a sample of texts; it trusts nothing the learner
says. A check reports its figures and, where it failed, one example.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seallm.base.errors import VocabError
from seallm.languages import Script
from seallm.vocab.base_tokenizer import BpeTokenizer
from seallm.vocab.certificate_texts import character_tables, plain_samples, random_texts
from seallm.vocab.encoding_checks import (
    check_mark_free,
    check_plain,
    check_preserved,
    check_reference,
    check_round_trip,
    check_sentencepiece,
)
from seallm.vocab.pretokenizer import letters_only_patterns, pieces_relative
from seallm.vocab.vocabulary_checks import (
    Check,
    check_duplicates,
    check_old_ids,
    check_reachable,
    cluster_share,
)

RANDOM_TEXTS, REFERENCE_TEXTS = 1_000, 300


class CertificateFailed(VocabError):
    """A check of an extended tokenizer does not hold."""


@dataclass(frozen=True)
class Samples:
    """Texts the checks run on.

    Attributes:
        preserved: sentences in the base language that the learner has not seen.
        texts: sentences and documents of all languages.
        scripts: scripts whose characters the random texts are made of.
    """

    preserved: Sequence[str]
    texts: Sequence[str]
    scripts: Sequence[Script]


def certify(
    base: BpeTokenizer,
    extended: BpeTokenizer,
    samples: Samples,
    seed: int,
    model_files: tuple[Path, Path] | None = None,
) -> list[Check]:
    """Run all checks.

    Args:
        base: the tokenizer before extension.
        extended: the tokenizer after.
        samples: texts to check with.
        seed: of the random texts.
        model_files: the base's and the new SentencePiece model, where there are such files.
    """
    mixtures = random_texts(samples.scripts, RANDOM_TEXTS, seed)
    tables, plain = character_tables(samples.scripts), plain_samples()
    everything = [*mixtures, *tables, *samples.texts, *(text for texts in plain.values() for text in texts)]
    checks = [
        check_old_ids(base, extended),
        check_duplicates(base, extended),
        check_reachable(base, extended),
        check_round_trip(base, extended, everything),
        check_reference(extended, [*mixtures[:REFERENCE_TEXTS], *samples.texts[:REFERENCE_TEXTS]]),
        check_mark_free(base, extended, [*samples.preserved, *everything]),
        check_preserved(base, extended, samples.preserved),
        check_plain(base, extended, plain),
    ]
    if model_files:
        checks.append(check_sentencepiece(base, extended, model_files, everything))
    return checks


def certificate(
    checks: Sequence[Check],
    base: BpeTokenizer,
    extended: BpeTokenizer,
    sentences: Mapping[str, Sequence[str]],
    row_multiple: int,
) -> dict[str, Any]:
    """The content of `certificate.json`.

    Args:
        checks: what `certify` found.
        base: the tokenizer before.
        extended: the one after.
        sentences: the same sentences in every language, the base language first.
        row_multiple: a model's embedding gets rows for a multiple of this many tokens.
    """
    return {
        "passed": all(check.offence is None for check in checks),
        "checks": [
            {"claim": c.claim, "passed": c.offence is None, "figures": dict(c.figures), "offence": c.offence}
            for c in checks
        ],
        "kind": base.kind,
        "languages": list(sentences),
        "vocabulary_before": base.next_id,
        "vocabulary_after": extended.next_id,
        "row_multiple": row_multiple,
        "model_rows": -(-extended.next_id // row_multiple) * row_multiple,
        "whole_cluster_share": round(cluster_share(base, extended), 4),
        "pre_tokenizer": {
            "letters_only_patterns": letters_only_patterns(base.document),
            "repaired": base.document.get("pre_tokenizer") != extended.document.get("pre_tokenizer"),
            "pieces_before": pieces_relative(base, sentences),
            "pieces_after": pieces_relative(extended, sentences),
        },
    }


def demand(checks: Sequence[Check]) -> None:
    """See that every check holds.

    Raises:
        CertificateFailed: one does not.
    """
    failed = [f"{check.claim}: {check.offence}" for check in checks if check.offence is not None]
    if failed:
        raise CertificateFailed(f"The extended tokenizer failed its certificate. {'; '.join(failed)}")
