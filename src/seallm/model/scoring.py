"""Log-likelihoods of continuations, and bits per byte of texts.

Requests with the same prefix become one row, `prefix | continuation 1 | continuation 2 | ...`, in which a continuation
sees the prefix and itself alone: the prefix is computed once. What the prefixes of many rows have in common (few-shot
examples, instructions) is computed once for all of them and read from the cache. Logits are computed only where a
continuation's token is read. The results are those of plain forwards, up to rounding.

Shapes: B rows, T tokens of a row, S tokens shared by all rows, N read positions, H width, V vocabulary.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from transformers import Cache, PreTrainedModel, PreTrainedTokenizerFast

from seallm.base.errors import DataError, ModelError
from seallm.model.chat_format import document_start_id
from seallm.model.head import sum_log_probabilities
from seallm.model.kv_cache import read_only_rows
from seallm.model.plain_text import PlainText
from seallm.model.shared_prefixes import has_short_window, prefix_cache, run_cost_tokens, shared_runs

ROW_TOKENS = (
    192  # attention is computed over whole rows, so many long continuations in one row cost more than they spare
)

Request = tuple[Sequence[int], Sequence[int]]


@dataclass(frozen=True, slots=True)
class Likelihood:
    """Natural-log probability of a continuation after its prefix, and whether greedy decoding would give it."""

    sum: float
    is_greedy: bool


@dataclass(frozen=True)
class BitsPerByte:
    """What a model needs to encode texts.

    Attributes:
        bits: sum of -log2 p over all tokens.
        bytes: UTF-8 bytes of the texts.
        documents: number of texts.
    """

    bits: float
    bytes: int
    documents: int

    @property
    def value(self) -> float:
        """Bits per byte.

        Raises:
            DataError: there was no text.
        """
        if self.bytes == 0:
            raise DataError(f"Bits per byte of {self.documents} documents without any text; give some held-out text")
        return self.bits / self.bytes


@dataclass
class _Group:
    """The continuations of one prefix, each with the numbers of the requests that ask for it."""

    prefix: tuple[int, ...]
    continuations: dict[tuple[int, ...], list[int]] = field(default_factory=dict)

    def row_tokens(self, shared: int) -> int:
        """Length of its row behind the shared tokens."""
        return len(self.prefix) - shared + sum(len(c) - 1 for c in self.continuations)

    def has_room(self, continuation: tuple[int, ...]) -> bool:
        """True where a continuation costs less in this row than in one of its own, with the prefix computed again."""
        longest = max(ROW_TOKENS, 3 * len(self.prefix))
        return continuation in self.continuations or self.row_tokens(0) + len(continuation) <= longest


def continuation_log_likelihoods(
    model: PreTrainedModel, requests: Sequence[Request], batch_tokens: int
) -> list[Likelihood]:
    """Score continuations, each distinct prefix computed once.

    Args:
        model: a causal language model in evaluation mode.
        requests: (prefix ids, continuation ids); an empty continuation scores 0.
        batch_tokens: tokens in one forward, padding included; a longer single row is still computed.

    Returns:
        One likelihood a request, in order.

    Raises:
        ModelError: a prefix is empty, or prefix and continuation are longer than the model has positions.
    """
    _check_requests(model, requests)
    results = [Likelihood(0.0, True)] * len(requests)
    apart = has_short_window(model, max((len(p) + len(c) for p, c in requests), default=0))
    groups = _group(requests, apart)
    for run, shared in [(groups, 0)] if apart else _runs(groups, run_cost_tokens(model.device)):
        cache = prefix_cache(model, run[0].prefix[:shared]) if shared else None
        for batch in _batches(run, shared, batch_tokens):
            for group, scores in zip(batch, _score_batch(model, batch, shared, cache), strict=True):
                for owners, score in zip(group.continuations.values(), scores, strict=True):
                    for number in owners:
                        results[number] = score
    return results


def _check_requests(model: PreTrainedModel, requests: Sequence[Request]) -> None:
    positions = model.config.get_text_config(decoder=True).max_position_embeddings
    for number, (prefix, continuation) in enumerate(requests):
        if not prefix:
            raise ModelError(f"Request {number} has no prefix; start it with the model's beginning-of-sequence token")
        if len(prefix) + len(continuation) - 1 > positions:
            raise ModelError(
                f"Request {number} has {len(prefix)} + {len(continuation)} tokens; the model has {positions} "
                "positions. Shorten the prefix, for example by fewer examples"
            )


def _group(requests: Sequence[Request], apart: bool) -> list[_Group]:
    """One group a prefix, or several where its continuations would make too long a row."""
    latest: dict[object, _Group] = {}
    groups: list[_Group] = []
    for number, (prefix, continuation) in enumerate(requests):
        if continuation:
            start, rest = tuple(prefix), tuple(continuation)
            key = (start, rest) if apart else start
            group = latest.get(key)
            if group is None or not group.has_room(rest):
                group = latest[key] = _Group(start)
                groups.append(group)
            group.continuations.setdefault(rest, []).append(number)
    return groups


def _runs(groups: list[_Group], cost_tokens: int) -> list[tuple[list[_Group], int]]:
    """Runs of groups, each with the number of first tokens that all its prefixes share."""
    runs = shared_runs([group.prefix for group in groups], cost_tokens)
    return [([groups[number] for number in numbers], shared) for numbers, shared in runs]


def _batches(groups: list[_Group], shared: int, batch_tokens: int) -> Iterator[list[_Group]]:
    """Groups of similar row length, as many as fit into `batch_tokens`."""
    batch: list[_Group] = []
    for group in sorted(groups, key=lambda g: g.row_tokens(shared), reverse=True):
        longest = (batch or [group])[0].row_tokens(shared) + shared // 4  # copies of the shared cache take room, too
        if batch and (len(batch) + 1) * longest > batch_tokens:
            yield batch
            batch = []
        batch.append(group)
    if batch:
        yield batch


class _Rows:
    """Ids, positions, segments and read places of a batch, as lists."""

    def __init__(self, batch: Sequence[_Group], shared: int) -> None:
        self.ids: list[list[int]] = []
        self.positions: list[list[int]] = []
        self.segments: list[list[int]] = []  # 0: prefix; i: continuation i; -1: padding
        self.reads: list[tuple[int, int]] = []  # (row, column) whose logits are needed, N of them
        self.targets: list[tuple[int, int, int]] = []  # (read, id, number of the continuation in the batch)
        width = max(group.row_tokens(shared) for group in batch)
        self.is_branched = any(sum(len(c) > 1 for c in group.continuations) > 1 for group in batch)
        number = 0
        for row, group in enumerate(batch):
            self._add_prefix(group.prefix[shared:], shared)
            last = len(self.ids[row]) - 1
            first_read = len(self.reads)
            self.reads.append((row, last))
            for segment, continuation in enumerate(group.continuations, 1):
                self.targets.append((first_read, continuation[0], number))
                for place, target in enumerate(continuation[1:], len(self.ids[row])):
                    self.targets.append((len(self.reads), target, number))
                    self.reads.append((row, place))
                self._add_continuation(row, continuation[:-1], len(group.prefix), segment)
                number += 1
            padding = width - len(self.ids[row])
            self.ids[row] += [0] * padding
            self.positions[row] += [0] * padding
            self.segments[row] += [-1] * padding

    def _add_prefix(self, ids: Sequence[int], shared: int) -> None:
        self.ids.append(list(ids))
        self.positions.append(list(range(shared, shared + len(ids))))
        self.segments.append([0] * len(ids))

    def _add_continuation(self, row: int, ids: Sequence[int], start: int, segment: int) -> None:
        self.ids[row] += ids
        self.positions[row] += range(start, start + len(ids))
        self.segments[row] += [segment] * len(ids)


@torch.inference_mode()
def _score_batch(
    model: PreTrainedModel, batch: Sequence[_Group], shared: int, cache: Cache | None
) -> list[list[Likelihood]]:
    rows = _Rows(batch, shared)
    device = model.device
    ids = torch.tensor(rows.ids, device=device)  # (B, T)
    if rows.is_branched or cache is not None:
        hidden = model.base_model(
            input_ids=ids,
            position_ids=torch.tensor(rows.positions, device=device),
            attention_mask=_branch_mask(torch.tensor(rows.segments, device=device), shared),
            past_key_values=None if cache is None else read_only_rows(cache, len(batch)),
            use_cache=cache is not None,
        ).last_hidden_state
    else:  # rows without branches, padded on the right: plain causal attention
        hidden = model.base_model(input_ids=ids, use_cache=False).last_hidden_state
    row, column = torch.tensor(rows.reads, device=device).T
    read, target, owner = torch.tensor(sorted(rows.targets), device=device).T.contiguous()  # by place read
    sums, misses = sum_log_probabilities(model, hidden[row, column], read, target, owner)
    flat = (Likelihood(value, missed == 0) for value, missed in zip(sums.tolist(), misses.tolist(), strict=True))
    return [[next(flat) for _ in group.continuations] for group in batch]


def _branch_mask(segments: torch.Tensor, shared: int) -> torch.Tensor:
    """(B, 1, T, S + T), true where a token may look: at the shared tokens, the prefix, and its own continuation."""
    tokens = segments.shape[1]
    same = segments.unsqueeze(2) == segments.unsqueeze(1)  # (B, T, T); padding sees padding, so no row is empty
    earlier = torch.ones(tokens, tokens, dtype=torch.bool, device=segments.device).tril()
    allowed = (same | (segments == 0).unsqueeze(1)) & earlier
    return torch.cat([allowed.new_ones(len(segments), tokens, shared), allowed], dim=2).unsqueeze(1)


def bits_per_byte(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast | PlainText,
    texts: Sequence[str],
    max_sequence_tokens: int,
    *,
    batch_tokens: int = 8_192,
) -> BitsPerByte:
    """Compression of texts by a model: comparable between tokenizers, since bytes are counted, not tokens.

    A text's first token is predicted from the beginning-of-sequence token (end-of-sequence where there is none). Long
    texts are cut into windows without overlap; a window starts with the last token of the one before. No token's loss
    is counted twice or left out.

    Args:
        model: a causal language model in evaluation mode.
        tokenizer: its tokenizer, or the `PlainText` made from it, which spares making it again.
        texts: documents.
        max_sequence_tokens: longest window.
        batch_tokens: tokens in one forward, padding included.
    """
    plain = tokenizer if isinstance(tokenizer, PlainText) else PlainText(tokenizer)
    start = document_start_id(plain.tokenizer)
    windows = []
    for ids in plain.encode_many(texts):
        whole = [start, *ids]
        windows += [whole[at : at + max_sequence_tokens + 1] for at in range(0, len(ids), max_sequence_tokens)]
    windows.sort(key=len, reverse=True)
    nats, at = 0.0, 0
    while at < len(windows):
        rows = max(1, batch_tokens // (len(windows[at]) - 1))
        nats += _window_nats(model, windows[at : at + rows])
        at += rows
    return BitsPerByte(nats / math.log(2), sum(len(text.encode()) for text in texts), len(texts))


@torch.inference_mode()
def _window_nats(model: PreTrainedModel, windows: Sequence[Sequence[int]]) -> float:
    """Sum of -ln p of every token of each window but the first."""
    longest = len(windows[0])
    padded = [list(window) + [-1] * (longest - len(window)) for window in windows]
    ids = torch.tensor(padded, device=model.device)  # (B, T + 1)
    targets = ids[:, 1:].flatten()
    places = (targets >= 0).nonzero().squeeze(1)
    hidden = model.base_model(input_ids=ids[:, :-1].clamp(min=0), use_cache=False).last_hidden_state
    reads = torch.arange(len(places), device=model.device)
    owners = torch.zeros_like(reads)
    sums, _ = sum_log_probabilities(model, hidden.flatten(0, 1)[places], reads, targets[places], owners)
    return -float(sums[0])
