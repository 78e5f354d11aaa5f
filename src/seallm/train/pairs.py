"""Preference pairs in, packed rows out in which the prompt is computed once for both answers.

    ids        | prompt | chosen | rejected |  prompt | chosen | rejected | padding
    positions  | 0 .. p-1, p ..   p ..         0 ..
    segments   | 0        1        2           3        4        5          -1

An explicit mask lets a token see the earlier tokens of its own segment and of its pair's prompt. Both answers continue
the prompt at the same position, so each one's log-probability is that of a forward of its own (to rounding).
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from transformers import PreTrainedModel

from seallm.base.records import Preference
from seallm.model.chat_format import ChatFormat
from seallm.train.objectives import log_probabilities
from seallm.train.packing import pack_whole
from seallm.train.processes import Share


@dataclass(frozen=True)
class Pair:
    """Token ids of a pair; answers end with their end of turn."""

    prompt: list[int]
    chosen: list[int]
    rejected: list[int]
    language: str = ""

    @property
    def tokens(self) -> int:
        """Length of the pair in a row."""
        return len(self.prompt) + len(self.chosen) + len(self.rejected)


@dataclass(frozen=True)
class PairBatch:
    """Packed pairs as tensors: B rows of T tokens, P pairs, N answer tokens.

    Attributes:
        input_ids: (B, T).
        position_ids: (B, T).
        mask: which tokens a token sees, bool, (B, 1, T, T).
        places: flat places in (B * T) whose hidden states predict the answer tokens, (N,).
        targets: the answer tokens, (N,).
        answers: the answer that each token belongs to, (N,): p for chosen, P + p for rejected.
        reference: log-probabilities of the answers under the reference model, (2, P).
        lengths: tokens of the answers, (2, P).
        languages: of the pairs, P of them.
        weight: of each loss in the step's mean: 1 / pairs of the step, or 0 where the batch only keeps company.
        tally: is told the log-probabilities of the answers, (2, P).
    """

    input_ids: torch.Tensor
    position_ids: torch.Tensor
    mask: torch.Tensor
    places: torch.Tensor
    targets: torch.Tensor
    answers: torch.Tensor
    reference: torch.Tensor
    lengths: torch.Tensor
    languages: tuple[str, ...]
    weight: float
    tally: "Tally | None" = None


Tally = Callable[[torch.Tensor, PairBatch], None]


def encode_pairs(
    preferences: Iterable[Preference], chat_format: ChatFormat, max_tokens: int
) -> tuple[list[Pair], Counter[str]]:
    """Encode pairs; those longer than `max_tokens`, and those whose answers are the same, are left out and counted."""
    pairs, left_out = [], Counter[str]()
    for preference in preferences:
        prompt = chat_format.prompt_ids(preference.prompt)
        chosen, rejected = (chat_format.answer_ids(a[-1].content) for a in (preference.chosen, preference.rejected))
        pair = Pair(prompt, chosen, rejected, preference.language)
        if pair.tokens > max_tokens:
            left_out["longer than max_sequence_tokens"] += 1
        elif chosen == rejected:
            left_out["both answers alike"] += 1
        else:
            pairs.append(pair)
    return pairs, left_out


def collate_pairs(
    pairs: Sequence[Pair], reference: torch.Tensor, weight: float, device: torch.device, tally: Tally | None = None
) -> PairBatch:
    """Pack pairs into rows as long as the longest of them."""
    width = max(pair.tokens for pair in pairs)
    rows = pack_whole([pair.tokens for pair in pairs], width)
    ids, positions = np.zeros((2, len(rows), width), np.int64)
    segments = np.full((len(rows), width), -1, np.int64)
    prompts = np.full((len(rows), width), -1, np.int64)  # the segment number of the prompt of a token's pair
    places: list[int] = []
    targets: list[int] = []
    answers: list[int] = []
    for row, members in enumerate(rows):
        at = 0
        for number, item in enumerate(members):
            pair = pairs[item]
            first, prompt = at, len(pair.prompt)
            parts = ((pair.prompt, 0), (pair.chosen, prompt), (pair.rejected, prompt))
            for kind, (tokens, position) in enumerate(parts):
                end = at + len(tokens)
                ids[row, at:end] = tokens
                positions[row, at:end] = np.arange(position, position + len(tokens))
                segments[row, at:end], prompts[row, at:end] = 3 * number + kind, 3 * number
                if kind:  # the prompt's last token predicts the first token of both answers
                    places += [row * width + p for p in (first + prompt - 1, *range(at, end - 1))]
                    targets += tokens
                    answers += [item if kind == 1 else len(pairs) + item] * len(tokens)
                at = end
    tensors = [torch.from_numpy(a).to(device) for a in (ids, positions, segments, prompts)]
    return PairBatch(
        input_ids=tensors[0],
        position_ids=tensors[1],
        mask=_mask(tensors[2], tensors[3]),
        places=torch.tensor(places, device=device),
        targets=torch.tensor(targets, device=device),
        answers=torch.tensor(answers, device=device),
        reference=reference.to(device),
        lengths=torch.tensor([[len(p.chosen) for p in pairs], [len(p.rejected) for p in pairs]], device=device),
        languages=tuple(pair.language for pair in pairs),
        weight=weight,
        tally=tally,
    )


def _mask(segments: torch.Tensor, prompts: torch.Tensor) -> torch.Tensor:
    """What each token sees, (B, 1, T, T): earlier tokens of its segment and its pair's prompt; padding sees padding."""
    key = segments[:, None, :]
    seen = (key == segments[:, :, None]) | (key == prompts[:, :, None])
    return (seen & torch.ones(seen.shape[1:], dtype=torch.bool, device=seen.device).tril())[:, None]


def answer_log_probabilities(model: PreTrainedModel, batch: PairBatch) -> torch.Tensor:
    """Log-probabilities of the chosen and the rejected answers in nats, (2, P)."""
    hidden = model.base_model(
        input_ids=batch.input_ids, position_ids=batch.position_ids, attention_mask=batch.mask, use_cache=False
    ).last_hidden_state  # (B, T, H)
    found = log_probabilities(
        hidden.flatten(0, 1)[batch.places], model.get_output_embeddings().weight, batch.targets
    )  # (N,)
    sums = torch.zeros(batch.reference.numel(), dtype=found.dtype, device=found.device)
    return sums.index_add(0, batch.answers, found).view(2, -1)


def own_parts(numbers: Sequence[int], pairs: Sequence[Pair], share: Share) -> list[list[int]]:
    """A process's pairs in runs that are computed at once, those of similar length together.

    Every process gets as many runs; the last ones may be empty.
    """
    ordered = sorted(numbers, key=lambda i: (pairs[i].tokens, i))
    all_runs = [
        _runs(ordered[rank :: share.processes], pairs, share.micro_batch_tokens) for rank in range(share.processes)
    ]
    own = all_runs[share.rank]
    return own + [[] for _ in range(max(map(len, all_runs)) - len(own))]


def _runs(numbers: Sequence[int], pairs: Sequence[Pair], tokens: int) -> list[list[int]]:
    runs: list[list[int]] = []
    room = 0
    for number in numbers:
        if pairs[number].tokens > room:
            runs.append([])
            room = tokens
        runs[-1].append(number)
        room -= pairs[number].tokens
    return runs
