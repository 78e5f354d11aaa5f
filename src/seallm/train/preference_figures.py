"""Log-probabilities of held-out answers before and after in; accuracies, what was gained, and honest words out."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seallm.base.interval import wilson
from seallm.recipe_training import Dpo
from seallm.train.pairs import Pair
from seallm.train.preference_losses import DIGITS

ALL = "all"
Values = NDArray[np.floating[Any]]


def compare_accuracy(pairs: Sequence[Pair], before: Values, after: Values, *, trained: bool) -> dict[str, Any]:
    """Accuracies with 95 % Wilson intervals, of all pairs and by language, and a sentence that says what they show.

    An accuracy is the share of pairs whose chosen answer is the more probable per token, so that a longer answer is not
    at a disadvantage.

    Args:
        pairs: held-out pairs.
        before: log-probabilities of both answers before training, (2, pairs).
        after: the same after training.
        trained: False where there was nothing to train on.
    """
    rights = [_is_right(pairs, values) for values in (before, after)]
    first, last = (_accuracy(right) for right in rights)
    improved = bool(pairs) and last["value"] > first["value"]
    languages = {}
    for code in sorted({pair.language for pair in pairs}):
        own = np.array([pair.language == code for pair in pairs])
        languages[code] = {name: _accuracy(right[own]) for name, right in zip(("before", "after"), rights, strict=True)}
    return {
        "before": first,
        "after": last,
        "languages": languages,
        "gained": gains(pairs, before, after),
        "improved": improved,
        "sentence": _sentence(first, last, trained=trained),
    }


def _lengths(pairs: Sequence[Pair]) -> Values:
    return np.array([[len(p.chosen) for p in pairs], [len(p.rejected) for p in pairs]]).reshape(2, -1)


def _is_right(pairs: Sequence[Pair], values: Values) -> NDArray[np.bool_]:
    per_token = values / _lengths(pairs)
    right: NDArray[np.bool_] = per_token[0] > per_token[1]
    return right


def _accuracy(is_right: NDArray[np.bool_]) -> dict[str, Any]:
    n, right = len(is_right), int(is_right.sum())
    low, high = wilson(right, n)
    return {"value": right / n if n else None, "n": n, "low": low, "high": high}


def gains(pairs: Sequence[Pair], before: Values, now: Values) -> dict[str, float] | None:
    """Mean changes of the log-probability in nats a token: of the chosen and the rejected answers, and what was lost.

    `kl` is what all answers lost together, an estimate of KL(model before, model now) where they are its samples.
    """
    if not pairs:
        return None
    change, lengths = now.astype(np.float64) - before, _lengths(pairs)
    chosen, rejected = (change / lengths).mean(axis=1).tolist()
    kl = -float(change.sum() / lengths.sum())
    found = {"chosen": chosen, "rejected": rejected, "kl": kl}
    return {name: round(value, DIGITS) + 0.0 for name, value in found.items()}  # no -0.0


def held_out_row(pairs: Sequence[Pair], before: Values, now: Values) -> dict[str, Any]:
    """A row of held_out.jsonl: number of pairs, accuracy and gains of all, and gains by language."""
    languages = {}
    for code in sorted({pair.language for pair in pairs}):
        own = [number for number, pair in enumerate(pairs) if pair.language == code]
        languages[code] = gains([pairs[n] for n in own], before[:, own], now[:, own])
    accuracy = round(float(_is_right(pairs, now).mean()), DIGITS)
    return {"pairs": len(pairs), "accuracy": accuracy, "gained": gains(pairs, before, now), "languages": languages}


def fall_sentence(gained: dict[str, float] | None, settings: Dpo) -> str | None:
    """Words on chosen answers whose likelihood fell too far; None where it did not."""
    if gained is None or gained["chosen"] >= -settings.max_chosen_fall:
        return None
    return (
        f"The log-probability of held-out chosen answers fell by {-gained['chosen']:.2f} nats a token, more than "
        f"max_chosen_fall = {settings.max_chosen_fall:g}: the model moves away from good answers too. Set [dpo] "
        "sft_weight, or lower the learning rate or the epochs"
    )


def _sentence(before: dict[str, Any], after: dict[str, Any], *, trained: bool) -> str:
    if not trained:
        return "There were no preference pairs to train on: the model is unchanged."
    if not before["n"]:
        return "There were no held-out preference pairs: whether training improved the model was not measured."
    change = f"from {before['value']:.2f} to {after['value']:.2f} on {before['n']} held-out pairs"
    if after["value"] <= before["value"]:
        return f"Preference training did not improve the accuracy on held-out pairs ({change})."
    if after["low"] <= before["value"]:
        return f"The accuracy rose {change}, which is within chance: its 95 % interval holds the accuracy before."
    return f"Preference training improved the accuracy {change}; its 95 % interval excludes the accuracy before."
