"""Token sequences in, the probability of a few next tokens after each of them out; common beginnings computed once.

Sorted sequences are laid into rows as a tree: a sequence adds only the tokens by which it differs from the one before
it, and a mask lets each token see its own ancestors. What all sequences begin with (instructions, criteria) is computed
once for all rows and read from the cache. Of k answers to a question, judged in all orders, the question is computed
once, each answer k times instead of 2 k times. The results are those of plain forwards, up to rounding.

Shapes: B rows, T tokens of a row, S tokens shared by all rows.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from transformers import Cache, PreTrainedModel

from seallm.base.errors import ModelError
from seallm.model.head import sum_log_probabilities
from seallm.model.kv_cache import shared_rows
from seallm.model.shared_prefixes import has_short_window, prefix_cache

MIN_ROW_TOKENS, MAX_ROW_TOKENS = 256, 1_024
MIN_SHARED_TOKENS = 8  # fewer are not worth a forward of their own


@dataclass
class _Row:
    """Sequences of a row, as a tree.

    Attributes:
        ids: tokens behind the shared ones, (T,).
        depths: how many tokens stand before each in its own sequence, (T,).
        paths: for each of its sequences the places of its tokens in the row.
        owners: the numbers of its sequences.
    """

    ids: list[int] = field(default_factory=list)
    depths: list[int] = field(default_factory=list)
    paths: list[npt.NDArray[np.int64]] = field(default_factory=list)
    owners: list[int] = field(default_factory=list)

    def add(self, owner: int, sequence: Sequence[int], common: int, shared: int) -> None:
        """Add a sequence whose first `common` tokens are those of the sequence added before it."""
        before = self.paths[-1][: common - shared] if self.paths else np.empty(0, np.int64)
        first = shared + len(before)
        places = np.arange(len(self.ids), len(self.ids) + len(sequence) - first)
        self.ids += sequence[first:]
        self.depths += range(first, len(sequence))
        self.paths.append(np.concatenate([before, places]))
        self.owners.append(owner)

    def mask(self, width: int) -> npt.NDArray[np.bool_]:
        """Which tokens a token sees, (width, width): its ancestors and itself; padding sees itself."""
        seen = np.eye(width, dtype=np.bool_)
        known = 0
        for path in self.paths:
            new = int(np.searchsorted(path, known))  # places before are of an earlier sequence
            own = path[new:]
            seen[own[:, None], path[:new]] = True
            seen[own[:, None], own] = np.tri(len(own), dtype=np.bool_)
            known = max(known, int(path[-1]) + 1)
        return seen


def next_token_log_probabilities(
    model: PreTrainedModel, sequences: Sequence[list[int]], targets: Sequence[int], batch_tokens: int
) -> npt.NDArray[np.float64]:
    """Natural-log probability of each target as the next token after each sequence.

    Args:
        model: a causal language model in evaluation mode.
        sequences: token ids; none may be empty.
        targets: ids.
        batch_tokens: tokens in one forward, padding included; a longer single row is still computed.

    Returns:
        (sequences, targets).

    Raises:
        ModelError: a sequence is empty or longer than the model has positions.
    """
    config = model.config.get_text_config(decoder=True)
    for number, sequence in enumerate(sequences):
        if not 0 < len(sequence) <= config.max_position_embeddings:
            raise ModelError(
                f"Sequence {number} has {len(sequence)} tokens; expected 1 to {config.max_position_embeddings}, the "
                "model's positions. Shorten it"
            )
    found = np.zeros((len(sequences), len(targets)))
    is_cut = has_short_window(model, max(map(len, sequences), default=0))  # our masks know no windows
    shared = 0 if is_cut else _shared_by_all(sequences)
    rows = list(_rows(sequences, shared, 0 if is_cut else row_tokens(config.hidden_size)))
    cache = prefix_cache(model, sequences[0][:shared]) if shared else None
    for batch in _batches(rows, shared, batch_tokens):
        owners = [owner for row in batch for owner in row.owners]
        found[owners] = _score(model, batch, targets, shared, cache)
    return found


def row_tokens(hidden_size: int) -> int:
    """Longest row worth having: attention costs by the length of whole rows, everything else by the model's width."""
    return min(MAX_ROW_TOKENS, max(MIN_ROW_TOKENS, hidden_size))


def _shared_by_all(sequences: Sequence[list[int]]) -> int:
    """First tokens common to all sequences, the last one of each left out, for its logits are read."""
    if len(sequences) < 2:
        return 0
    first, last = min(sequences, key=tuple), max(sequences, key=tuple)
    shared = min(_common(first, last), *(len(sequence) - 1 for sequence in sequences))
    return shared if shared >= MIN_SHARED_TOKENS else 0


def _common(first: Sequence[int], second: Sequence[int]) -> int:
    """Number of equal first tokens, by bisection: slices are compared much faster than items."""
    low, high = 0, min(len(first), len(second))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if first[low:middle] == second[low:middle] else (low, middle - 1)
    return low


def _rows(sequences: Sequence[list[int]], shared: int, limit: int) -> Iterator[_Row]:
    """Sorted sequences in rows of at most `limit` tokens, each at least one sequence."""
    row = _Row()
    order = sorted(range(len(sequences)), key=lambda number: sequences[number])
    before: list[int] = []
    for number in order:
        sequence = sequences[number]
        common = max(shared, min(_common(before, sequence), len(sequence))) if row.paths else shared
        if row.paths and len(row.ids) + len(sequence) - common > limit:
            yield row
            row, common = _Row(), shared
        row.add(number, sequence, common, shared)
        before = sequence
    if row.paths:
        yield row


def _batches(rows: list[_Row], shared: int, batch_tokens: int) -> Iterator[list[_Row]]:
    """Rows of similar length, as many as fit into `batch_tokens`."""
    batch: list[_Row] = []
    for row in sorted(rows, key=lambda row: len(row.ids), reverse=True):
        longest = len((batch or [row])[0].ids) + shared // 4  # copies of the shared cache take room, too
        if batch and (len(batch) + 1) * longest > batch_tokens:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


@torch.inference_mode()
def _score(
    model: PreTrainedModel, batch: Sequence[_Row], targets: Sequence[int], shared: int, cache: Cache | None
) -> npt.NDArray[np.float64]:
    """Log-probabilities (sequences of the batch, targets)."""
    width, device = len(batch[0].ids), model.device
    padding = [width - len(row.ids) for row in batch]
    ids = torch.tensor([row.ids + [0] * p for row, p in zip(batch, padding, strict=True)], device=device)
    if cache is None and all(len(row.paths) == 1 for row in batch):  # padded on the right: plain causal attention
        hidden = model.base_model(input_ids=ids, use_cache=False).last_hidden_state
    else:
        mask = torch.from_numpy(np.stack([row.mask(width) for row in batch])).unsqueeze(1)  # (B, 1, T, T)
        depths = [row.depths + [0] * p for row, p in zip(batch, padding, strict=True)]
        hidden = model.base_model(
            input_ids=ids,
            position_ids=torch.tensor(depths, device=device),
            attention_mask=torch.cat([mask.new_ones(*mask.shape[:3], shared), mask], dim=3).to(device),
            past_key_values=None if cache is None else shared_rows(cache, len(batch)),
            use_cache=cache is not None,
        ).last_hidden_state
    ends = [(number, int(path[-1])) for number, row in enumerate(batch) for path in row.paths]
    row_numbers, places = torch.tensor(ends, device=device).T
    reads = torch.arange(len(ends), device=device).repeat_interleave(len(targets))
    wanted = torch.tensor(list(targets), device=device).repeat(len(ends))
    owners = torch.arange(len(reads), device=device)
    sums, _ = sum_log_probabilities(model, hidden[row_numbers, places], reads, wanted, owners)
    return sums.view(len(ends), len(targets)).cpu().numpy()
