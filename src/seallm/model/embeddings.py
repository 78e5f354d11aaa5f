"""Rows for new tokens: each starts as the mean of the rows of the pieces that its text had under the old tokenizer.

With it the extended model reads a new token about as it read the old pieces, which is where continued pre-training
takes over. `calibrated-mean` also scales the row to the usual norm: a mean of several rows is shorter than any of them.
`standardised-mean` gives the new rows the centre and the spread of the old ones: a base that never saw a script has
pushed all its bytes to one place (cosine 0.92 in the quickstart's base), and means of them would be all but equal.
"""

from collections.abc import Mapping
from typing import Literal

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from seallm.base.errors import ModelError
from seallm.model.plain_text import PlainText

Method = Literal["mean", "calibrated-mean", "standardised-mean"]


def extend_model(
    model: PreTrainedModel,
    old_tokenizer: PreTrainedTokenizerFast,
    new_tokenizer: PreTrainedTokenizerFast,
    method: Method = "mean",
) -> list[int]:
    """Give a model rows for the tokens that the new tokenizer has beyond the old one; changes it in place.

    Input and output rows are set, tied or not. Rows are added only where the model has no spare ones.

    Returns:
        The new ids, rising.

    Raises:
        ModelError: an old token is missing from the new tokenizer or has another id there.
    """
    pieces = new_token_pieces(old_tokenizer, new_tokenizer)
    if not pieces:
        return []
    old_rows = model.get_input_embeddings().weight.shape[0]
    if max(pieces) >= old_rows:
        with torch.random.fork_rng(devices=[]):  # resizing draws rows that are overwritten below
            model.resize_token_embeddings(max(pieces) + 1, mean_resizing=False)
    inputs, outputs = model.get_input_embeddings().weight, model.get_output_embeddings().weight
    used = torch.tensor(sorted(old_tokenizer.get_vocab().values()), device=inputs.device)
    _fill(inputs, pieces, used, method)
    if outputs is not inputs:
        _fill(outputs, pieces, used, method)
    return sorted(pieces)


def new_token_pieces(
    old_tokenizer: PreTrainedTokenizerFast, new_tokenizer: PreTrainedTokenizerFast
) -> dict[int, list[int]]:
    """For each id that is new in the new tokenizer, the ids of its text under the old one.

    Raises:
        ModelError: an old token is missing from the new tokenizer or has another id there.
    """
    old, new = old_tokenizer.get_vocab(), new_tokenizer.get_vocab()
    moved = [token for token, token_id in old.items() if new.get(token) != token_id]
    if moved:
        raise ModelError(
            f"{len(moved)} tokens of the old tokenizer are missing or have other ids in the new one, for example "
            f"{moved[0]!r}: {old[moved[0]]} became {new.get(moved[0])}. Extend the base's own tokenizer"
        )
    added = new_tokenizer.get_added_vocab()
    plain, merges = PlainText(old_tokenizer), old_tokenizer.backend_tokenizer.model
    pieces = {}
    for token, token_id in new.items():
        if token not in old:
            # an added token is text; any other is already in the vocabulary's own writing of bytes and spaces
            is_text = token in added
            pieces[token_id] = plain.encode_inner([token])[0] if is_text else [p.id for p in merges.tokenize(token)]
    return pieces


@torch.no_grad()
def _fill(weight: torch.Tensor, pieces: Mapping[int, list[int]], used: torch.Tensor, method: Method) -> None:
    """Overwrite the rows of the new ids of one matrix (V, H).

    In double precision: sums in single precision round differently with the memory they happen to lie in.
    """
    old = weight[used].double()  # (U, H): spare rows of a padded model do not count
    lengths = torch.tensor([len(p) for p in pieces.values()], device=weight.device)
    flat = torch.tensor([i for p in pieces.values() for i in p], device=weight.device, dtype=torch.long)
    owner = torch.repeat_interleave(torch.arange(len(pieces), device=weight.device), lengths)
    rows = torch.zeros(len(pieces), weight.shape[1], device=weight.device, dtype=torch.float64)
    rows.index_add_(0, owner, weight[flat].double())
    rows /= lengths.clamp(min=1).unsqueeze(1)
    rows[lengths == 0] = old.mean(dim=0)  # a text that the old tokenizer has no pieces for
    if method == "calibrated-mean":
        rows *= old.norm(dim=1).mean() / rows.norm(dim=1, keepdim=True).clamp(min=1e-12)
    if method == "standardised-mean":
        deviations, usual = rows - rows.mean(dim=0), (old - old.mean(dim=0)).norm(dim=1).mean()
        rows = old.mean(dim=0) + deviations * usual / deviations.norm(dim=1).mean().clamp(min=1e-12)
    weight[torch.tensor(list(pieces), device=weight.device)] = rows.to(weight.dtype)
