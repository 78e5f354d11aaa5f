"""Rows for new tokens, and how they start.

`mean` is the mean of the rows of the pieces that the token's text had under the old tokenizer. With it the extended
model reads a new token about as it read the old pieces, which is where continued pre-training takes over.
`calibrated-mean` also scales the row to the usual norm: a mean of several rows is shorter than any of them.
`standardised-mean` gives the new rows the centre and the spread of the old ones: a base that never saw a script has
pushed all its bytes to one place (cosine 0.92 in the quickstart's base), and means of them would be all but equal.
`similarity` combines the rows of old tokens with like neighbours in texts of the languages (`auxiliary.py`), and falls
back on the mean where a token is too rare there.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from seallm.base.errors import ModelError
from seallm.model.auxiliary import auxiliary_embedding, similar_tokens
from seallm.model.plain_text import PlainText

Method = Literal["mean", "calibrated-mean", "standardised-mean", "similarity"]


def extend_model(
    model: PreTrainedModel,
    old_tokenizer: PreTrainedTokenizerFast,
    new_tokenizer: PreTrainedTokenizerFast,
    method: Method = "mean",
    *,
    texts: Sequence[str] = (),
    row_multiple: int = 1,
) -> list[int]:
    """Give a model rows for the tokens that the new tokenizer has beyond the old one; changes it in place.

    Input and output rows are set, tied or not. Rows are added only where the model has no spare ones; spare rows that
    are added on the way to a multiple are the mean of the old rows, so that hardly any probability goes there.

    Args:
        model: to be changed.
        old_tokenizer: the model's own.
        new_tokenizer: one that extends it.
        method: how rows start.
        texts: of the languages that the new tokens are for; `similarity` needs them.
        row_multiple: added rows bring the embedding to a multiple of this many.

    Returns:
        The new ids, rising.

    Raises:
        ModelError: an old token is missing from the new tokenizer or has another id there; or `similarity` has no text.
    """
    pieces = new_token_pieces(old_tokenizer, new_tokenizer)
    if not pieces:
        return []
    if method == "similarity" and not texts:
        raise ModelError("embedding_init = similarity needs texts of the new tokens' languages, and there are none")
    old_rows = model.get_input_embeddings().weight.shape[0]
    if max(pieces) >= old_rows:
        rows = -(-(max(pieces) + 1) // row_multiple) * row_multiple
        with torch.random.fork_rng(devices=[]):  # resizing draws rows that are overwritten below
            model.resize_token_embeddings(rows, mean_resizing=False)
    used = sorted(old_tokenizer.get_vocab().values())
    similar = _similar(pieces, used, new_tokenizer, texts) if method == "similarity" else {}
    inputs, outputs = model.get_input_embeddings().weight, model.get_output_embeddings().weight
    for weight in (inputs,) if outputs is inputs else (inputs, outputs):
        numbers = torch.tensor(used, device=weight.device)
        _fill_spare(weight, old_rows, pieces, numbers)
        _fill(weight, pieces, numbers, method)
        _combine(weight, similar)
    return sorted(pieces)


def _similar(
    pieces: Mapping[int, list[int]], used: Sequence[int], tokenizer: PreTrainedTokenizerFast, texts: Sequence[str]
) -> dict[int, tuple[torch.Tensor, torch.Tensor]]:
    """For each new id the old ids that resemble it, with their weights."""
    plain = PlainText(tokenizer)
    ids = [np.array(found, np.int64) for found in plain.encode_inner(list(texts))]
    placed = auxiliary_embedding(ids, max(max(pieces), max(used)) + 1)
    return similar_tokens(placed, sorted(pieces), used)


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
def _fill_spare(weight: torch.Tensor, old_rows: int, pieces: Mapping[int, list[int]], used: torch.Tensor) -> None:
    """Overwrite added rows that belong to no token."""
    spare = [number for number in range(old_rows, weight.shape[0]) if number not in pieces]
    if spare:
        weight[spare] = weight[used].double().mean(dim=0).to(weight.dtype)


@torch.no_grad()
def _combine(weight: torch.Tensor, similar: Mapping[int, tuple[torch.Tensor, torch.Tensor]]) -> None:
    """Overwrite rows by convex combinations of others, which must not be among the overwritten."""
    for number, (others, shares) in similar.items():
        rows = weight[others.to(weight.device)].double()
        weight[number] = (shares.to(rows) @ rows).to(weight.dtype)


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
