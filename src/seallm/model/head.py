"""Hidden states to log-probabilities, at the positions that are read and nowhere else.

The output matrix is the larger part of a small model's work at a large vocabulary: logits that nobody reads are not
computed, and those that are read are never held all at once.
"""

import torch
from transformers import PreTrainedModel

from seallm.base.errors import ModelError

LOGIT_ELEMENTS = 2**24  # logits computed at once: 64 MiB in float32


def sum_log_probabilities(
    model: PreTrainedModel, hidden: torch.Tensor, reads: torch.Tensor, targets: torch.Tensor, owners: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Sum the natural-log probabilities of targets by owner.

    Args:
        model: gives the output matrix (V, H).
        hidden: last hidden states (N, H) at the read positions.
        reads: for each target the row of `hidden` it is read from, rising (M).
        targets: ids (M).
        owners: for each target the number of the text it belongs to (M).

    Returns:
        By owner: sums in float64, and numbers of targets that are not the most probable token.
    """
    number = int(owners.max()) + 1
    sums = torch.zeros(number, dtype=torch.float64, device=hidden.device)
    misses = torch.zeros(number, dtype=torch.long, device=hidden.device)
    size = max(1, LOGIT_ELEMENTS // model.get_output_embeddings().weight.shape[0])
    for start in range(0, len(hidden), size):
        logits = head_logits(model, hidden[start : start + size])
        first, last = torch.searchsorted(reads, torch.tensor([start, start + size], device=reads.device)).tolist()
        place, wanted, whose = reads[first:last] - start, targets[first:last], owners[first:last]
        values = logits[place, wanted] - logits.logsumexp(dim=-1)[place]
        sums.index_add_(0, whose, values.double())
        misses.index_add_(0, whose, (logits.argmax(dim=-1)[place] != wanted).long())
    return sums, misses


def head_logits(model: PreTrainedModel, hidden: torch.Tensor) -> torch.Tensor:
    """Float32 logits (N, V) of last hidden states (N, H), as the model's own head computes them.

    Raises:
        ModelError: the architecture scales its logits in a way this function does not know.
    """
    config = model.config.get_text_config(decoder=True)
    scales = [name for name in ("logit_scale", "logits_scaling") if getattr(config, name, None) not in (None, 1)]
    if scales:
        raise ModelError(f"{type(model).__name__} scales its logits ({scales[0]}); such a model cannot be scored here")
    logits: torch.Tensor = model.get_output_embeddings()(hidden).float()
    cap = getattr(config, "final_logit_softcapping", None)
    return logits if cap is None else torch.tanh(logits / cap) * cap
