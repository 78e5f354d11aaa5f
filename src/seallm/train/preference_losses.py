"""Log-probabilities of better and worse answers in, a loss for each pair out; what pairs gain, summed by language.

    dpo     -log sigmoid(beta d)      d: what the chosen answer gained on the reference, less what the rejected one did
    ipo     (d - 1 / (2 beta))^2      does not push d without end
    simpo   -log sigmoid(beta d - target_margin)      d: of log-probabilities per token, without a reference

DPO is Rafailov et al. 2023, eq. 7, with label smoothing as in Mitchell 2023 (conservative DPO); IPO Azar et al. 2023,
eq. 17; SimPO Meng et al. 2024, eq. 6; the supervised term, per token, Pang et al. 2024, eq. 1 and 2.

Shapes: P pairs, L languages.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F

from seallm.recipe_training import Dpo
from seallm.train.pairs import PairBatch
from seallm.train.processes import sum_tensor

DIGITS = 6  # of logged figures
COLUMNS = ("pairs", "right", "chosen_reward", "rejected_reward", "chosen_gain", "rejected_gain", "tokens", "lost")


def preference_losses(
    policy: torch.Tensor, reference: torch.Tensor, lengths: torch.Tensor, settings: Dpo
) -> torch.Tensor:
    """One loss for each pair, in nats (ipo: squared nats), (P,).

    Args:
        policy: log-probabilities of the chosen and the rejected answers under the model, (2, P).
        reference: the same under the reference model, (2, P).
        lengths: tokens of the answers, (2, P).
        settings: objective, beta, and what is added to it.
    """
    rewards = implicit_rewards(policy, reference, lengths, settings)
    difference = rewards[0] - rewards[1]  # beta d
    if settings.objective == "ipo":
        losses = (difference / settings.beta - 1 / (2 * settings.beta)).square()
    else:
        logits = difference - (settings.target_margin if settings.objective == "simpo" else 0.0)
        smoothing = settings.label_smoothing
        losses = -(1 - smoothing) * F.logsigmoid(logits) - smoothing * F.logsigmoid(-logits)
    if settings.sft_weight:
        losses = losses - settings.sft_weight * policy[0] / lengths[0]
    return losses


def implicit_rewards(
    policy: torch.Tensor, reference: torch.Tensor, lengths: torch.Tensor, settings: Dpo
) -> torch.Tensor:
    """Beta times what the objective compares, of the chosen and the rejected answers, (2, P)."""
    is_simpo = settings.objective == "simpo"
    compared = policy if is_simpo else policy - reference
    return settings.beta * (compared / lengths if is_simpo or settings.length_normalised else compared)


class StepTally:
    """What the pairs of one step gained, summed by language over the parts of all processes.

    `chosen_gain` and `rejected_gain` are changes of the log-probability against the reference, in nats a token. `kl`
    is what both answers together lost, in nats a token: where the answers are samples of the reference model it
    estimates KL(reference, model); elsewhere it only says how far the model has moved on these answers.
    """

    def __init__(self, languages: Sequence[str], settings: Dpo, device: torch.device) -> None:
        self._languages, self._settings = languages, settings
        self._sums = torch.zeros(len(languages), len(COLUMNS), dtype=torch.float64, device=device)

    @torch.no_grad()
    def add(self, policy: torch.Tensor, batch: PairBatch) -> None:
        """Count the pairs of a part; policy is (2, P). A part without weight only keeps company."""
        if not batch.weight:
            return
        policy = policy.detach().double()
        rewards = implicit_rewards(policy, batch.reference.double(), batch.lengths, self._settings)
        gains = policy - batch.reference
        values = torch.stack(
            [
                torch.ones_like(rewards[0]),
                (rewards[0] > rewards[1]).double(),
                *rewards,
                *(gains / batch.lengths),
                batch.lengths.sum(0).double(),
                -gains.sum(0),
            ],
            dim=1,
        )  # (P, columns)
        rows = [self._languages.index(language) for language in batch.languages]
        self._sums.index_add_(0, torch.tensor(rows, device=values.device), values)

    def measured(self) -> Mapping[str, Any]:
        """Columns for metrics.jsonl, of all pairs and by language; called by all processes."""
        sums = sum_tensor(self._sums).cpu()
        found = [(code, _figures(row)) for code, row in zip(self._languages, sums.tolist(), strict=True) if row[0]]
        return {**_figures(sums.sum(0).tolist()), "languages": dict(found)}


def _figures(sums: Sequence[float]) -> dict[str, float]:
    row = dict(zip(COLUMNS, sums, strict=True))
    pairs, tokens = max(row["pairs"], 1.0), max(row["tokens"], 1.0)
    figures = {name: row[name] / pairs for name in COLUMNS[2:6]}
    figures["margin"] = figures["chosen_reward"] - figures["rejected_reward"]
    figures |= {"accuracy": row["right"] / pairs, "kl": row["lost"] / tokens}
    return {"pairs": int(row["pairs"]), **{name: round(value, DIGITS) for name, value in figures.items()}}
