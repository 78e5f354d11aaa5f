"""Prompts to answers: batched sampling with a key-value cache, and streams of ids and of text.

What prompts have in common is computed once for all of them. The rest of prompts of similar length is padded on the
left and computed once for all their answers; rows that have ended leave the batch. Each answer draws its random numbers
from a generator of its own, seeded by (seed, prompt, answer): it is the same answer in any batch, up to rounding. One
number decides one token, by its place in the cumulative distribution.

Shapes: B rows, T tokens so far (padding included), V vocabulary.
"""

import codecs
import itertools
import unicodedata
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from transformers import Cache, PreTrainedModel

from seallm.base.errors import ModelError
from seallm.base.sampling import SamplingSettings as SamplingSettings
from seallm.model.chat_format import ChatFormat
from seallm.model.kv_cache import new_cache, roomy_copies, shared_rows
from seallm.model.plain_text import PlainText
from seallm.model.shared_prefixes import has_short_window, prefix_cache, shared_runs

KEEP_SHARE = 0.75  # a batch is compacted when at most this share of its rows is still going
RUN_COST_TOKENS = 2_048  # prompts that are computed apart are also decoded apart, in batches that may not be full
NUCLEUS_GUESS = 256  # the most probable tokens tried first, before a whole vocabulary is sorted


Stop = Collection[int] | Callable[[Sequence[int]], bool]


def generate(
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    stop: Stop,
    settings: SamplingSettings | Sequence[SamplingSettings],
    batch_sequences: int,
    num_return: int = 1,
    *,
    first_prompt: int | Sequence[int] = 0,
) -> list[list[list[int]]]:
    """Answer every prompt `num_return` times.

    Args:
        model: a causal language model in evaluation mode.
        prompts: token ids; none may be empty.
        stop: an answer ends with the first of these ids, or where this function of its ids so far says so.
        settings: length and randomness; several that differ in temperature alone: the answers to a prompt take turns.
        batch_sequences: answers computed at once.
        num_return: answers a prompt.
        first_prompt: number of the first prompt, where these are a part of a longer list: answers depend on the number.
            A number for each prompt takes the place of its own, so that answers do not depend on the list.

    Returns:
        Ids of each answer of each prompt, without the prompt. An answer whose last id stops it has ended, any other
        was cut at `max_new_tokens` or at the model's last position.

    Raises:
        ModelError: a prompt is empty or leaves the model no position for an answer.
    """
    turns = [settings] if isinstance(settings, SamplingSettings) else settings
    settings = turns[0]
    limits = _limits(model, prompts, settings)
    numbers_of = range(first_prompt, first_prompt + len(prompts)) if isinstance(first_prompt, int) else first_prompt
    answers: list[list[list[int]]] = [[[] for _ in range(num_return)] for _ in prompts]
    for some, prefill in _prefilled(model, prompts, limits, max(1, batch_sequences // num_return)):
        for first in range(0, num_return, batch_sequences):
            numbers = range(first, min(first + batch_sequences, num_return))
            rows = [(prompt, answer) for prompt in some for answer in numbers]
            drawn_at = [turns[answer % len(turns)].temperature for _, answer in rows]
            noise = _noise([(numbers_of[prompt], answer) for prompt, answer in rows], settings, max(drawn_at))
            is_last = numbers.stop == num_return
            batch = _Batch(model, prefill, len(numbers), noise, settings, drawn_at, is_last=is_last)
            texts = [answers[prompt][answer] for prompt, answer in rows]
            for step in _run(batch, [limits[prompt] for prompt, _ in rows], partial(_has_ended, texts, stop)):
                for row, token_id in step:
                    texts[row].append(token_id)
    return answers


def _has_ended(texts: Sequence[list[int]], stop: Stop, row: int, token_id: int) -> bool:
    return stop(texts[row]) if callable(stop) else token_id in stop


def _prefilled(
    model: PreTrainedModel, prompts: Sequence[Sequence[int]], limits: Sequence[int], together: int
) -> "Iterator[tuple[list[int], _Prefill]]":
    """Numbers of prompts that are answered together, and their forward pass; all prompts in turn."""
    longest = max((len(prompt) + limit for prompt, limit in zip(prompts, limits, strict=True)), default=0)
    alone = has_short_window(model, longest)
    runs = [(list(range(len(prompts))), 0)] if alone else shared_runs([tuple(p) for p in prompts], RUN_COST_TOKENS)
    for run, shared in runs:
        prefix = prefix_cache(model, prompts[run[0]][:shared]) if shared else None
        run.sort(key=lambda number: len(prompts[number]))
        for some in (run[start : start + together] for start in range(0, len(run), together)):
            yield some, _prefill(model, [prompts[number][shared:] for number in some], prefix, shared)


def stream(
    model: PreTrainedModel, prompt: Sequence[int], stop_ids: Collection[int], settings: SamplingSettings
) -> Iterator[int]:
    """The ids of `generate`'s only answer to one prompt, each as soon as it is known; a stop id is the last.

    Raises:
        ModelError: as `generate`.
    """
    limits = _limits(model, [prompt], settings)
    temperature = settings.temperature
    noise = _noise([(0, 0)], settings, temperature)
    batch = _Batch(model, _prefill(model, [prompt]), 1, noise, settings, [temperature], is_last=True)
    for step in _run(batch, limits, lambda _, token_id: token_id in stop_ids):
        yield step[0][1]


def _limits(model: PreTrainedModel, prompts: Sequence[Sequence[int]], settings: SamplingSettings) -> list[int]:
    """New tokens allowed after each prompt."""
    positions = model.config.get_text_config(decoder=True).max_position_embeddings
    for number, prompt in enumerate(prompts):
        if not 0 < len(prompt) < positions:
            raise ModelError(
                f"Prompt {number} has {len(prompt)} tokens; expected 1 to {positions - 1}, since the model has "
                f"{positions} positions for prompt and answer. Shorten it"
            )
    return [min(settings.max_new_tokens, positions - len(prompt)) for prompt in prompts]


def _noise(rows: Sequence[tuple[int, int]], settings: SamplingSettings, highest_temperature: float) -> torch.Tensor:
    """Uniform numbers (B, max_new_tokens), each row from a generator of its own."""
    if highest_temperature == 0:
        return torch.empty(len(rows), settings.max_new_tokens)
    seeds = ((settings.seed % 2**64, prompt, answer) for prompt, answer in rows)
    drawn = [np.random.default_rng(seed).random(settings.max_new_tokens, dtype=np.float32) for seed in seeds]
    return torch.from_numpy(np.stack(drawn))


@dataclass(frozen=True)
class _Prefill:
    """Prompts after their forward pass: last logits (P, V), cache, which columns are real (P, T), lengths (P, 1)."""

    logits: torch.Tensor
    cache: Cache
    real: torch.Tensor
    lengths: torch.Tensor


@torch.inference_mode()
def _prefill(
    model: PreTrainedModel, prompts: Sequence[Sequence[int]], prefix: Cache | None = None, shared: int = 0
) -> _Prefill:
    """The forward pass of prompts, each without the `shared` first tokens that are in `prefix`."""
    longest = max(len(prompt) for prompt in prompts)
    ids = torch.tensor([[0] * (longest - len(prompt)) + list(prompt) for prompt in prompts], device=model.device)
    lengths = torch.tensor([[len(prompt)] for prompt in prompts], device=model.device)
    column = torch.arange(longest, device=model.device)
    places = column - (longest - lengths)  # (P, T - S), negative where padded
    real = torch.cat([places.new_ones(len(prompts), shared, dtype=torch.bool), places >= 0], dim=1)
    cache = new_cache(model) if prefix is None else shared_rows(prefix, len(prompts))
    output = model(
        input_ids=ids,
        position_ids=shared + places.clamp(min=0),
        attention_mask=None if bool(real.all()) else real.long(),
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    )
    return _Prefill(output.logits[:, -1], cache, real, shared + lengths)


class _Batch:
    """Rows that are decoded together, one id each a step."""

    def __init__(
        self,
        model: PreTrainedModel,
        prefill: _Prefill,
        repeats: int,
        noise: torch.Tensor,
        settings: SamplingSettings,
        temperatures: Sequence[float],
        *,
        is_last: bool,
    ) -> None:
        self.model, self.settings, self.step = model, settings, 0
        self.noise = noise.to(model.device)
        self.temperatures = torch.tensor(temperatures, device=model.device).unsqueeze(1)  # (B, 1)
        with torch.inference_mode():
            self.logits = prefill.logits.repeat_interleave(repeats, dim=0)
            self.positions = prefill.lengths.repeat_interleave(repeats, dim=0)  # (B, 1) of the next token
            self.cache = roomy_copies(prefill.cache, repeats, use_up=is_last)
            self.mask: torch.Tensor | None = None  # (B, T + max_new_tokens); not needed where nothing is padded
            if not bool(prefill.real.all()):
                later = prefill.real.new_ones(len(prefill.real), settings.max_new_tokens)
                self.mask = torch.cat([prefill.real, later], dim=1).long().repeat_interleave(repeats, dim=0)

    @torch.inference_mode()
    def draw(self) -> torch.Tensor:
        """The next id of each row (B)."""
        return _draw(self.logits, self.settings, self.noise[:, self.step], self.temperatures)

    @torch.inference_mode()
    def keep(self, rows: torch.Tensor) -> None:
        """Drop all other rows."""
        self.noise, self.positions, self.temperatures = self.noise[rows], self.positions[rows], self.temperatures[rows]
        self.mask = None if self.mask is None else self.mask[rows]
        self.cache.batch_select_indices(rows)

    @torch.inference_mode()
    def advance(self, ids: torch.Tensor) -> None:
        """Feed ids (B) and compute the logits of the step after them."""
        tokens = self.cache.get_seq_length() + 1
        self.logits = self.model(
            input_ids=ids.unsqueeze(1),
            position_ids=self.positions,
            attention_mask=None if self.mask is None else self.mask[:, :tokens],
            past_key_values=self.cache,
            use_cache=True,
            logits_to_keep=1,
        ).logits[:, -1]
        self.positions = self.positions + 1
        self.step += 1


def _run(
    batch: _Batch, limits: Sequence[int], has_ended: Callable[[int, int], bool]
) -> Iterator[list[tuple[int, int]]]:
    """Yield, step by step, (row, id) of every row that is still going; row numbers are those of the start."""
    rows = list(range(len(limits)))
    done: set[int] = set()
    for step in itertools.count(1):
        ids = batch.draw()
        found = [(row, token_id) for row, token_id in zip(rows, ids.tolist(), strict=True) if row not in done]
        yield found
        done.update(row for row, token_id in found if step >= limits[row] or has_ended(row, token_id))
        going = [place for place, row in enumerate(rows) if row not in done]
        if not going:
            return
        if len(going) <= KEEP_SHARE * len(rows):
            places = torch.tensor(going, device=ids.device)
            batch.keep(places)
            ids, rows = ids[places], [rows[place] for place in going]
        batch.advance(ids)


def _draw(
    logits: torch.Tensor, settings: SamplingSettings, noise: torch.Tensor, temperatures: torch.Tensor
) -> torch.Tensor:
    """Ids (B) from logits (B, V), one uniform number a row (B) and each row's temperature (B, 1)."""
    if not bool((temperatures > 0).any()):
        return logits.argmax(dim=-1)
    probabilities = (logits.float() / temperatures.clamp(min=1e-6)).softmax(dim=-1)
    if settings.top_p >= 1:
        return _invert(probabilities, noise)
    least = _nucleus_edge(probabilities, settings.top_p)
    return _invert(torch.where(probabilities >= least, probabilities, 0), noise)


def _nucleus_edge(probabilities: torch.Tensor, top_p: float) -> torch.Tensor:
    """Probability (B, 1) of the least probable token of the nucleus of probabilities (B, V)."""
    if probabilities.shape[1] > 16 * NUCLEUS_GUESS:
        likely = probabilities.topk(NUCLEUS_GUESS, dim=1).values
        lacking = likely.sum(dim=1) < top_p
        if bool(lacking.any()):
            edges = _edge(likely, top_p)
            edges[lacking] = _edge(_descending(probabilities[lacking]), top_p)
            return edges
        return _edge(likely, top_p)
    return _edge(_descending(probabilities), top_p)


def _edge(likely: torch.Tensor, top_p: float) -> torch.Tensor:
    """The last of the values (B, N), falling, before which less than `top_p` has been summed."""
    inside = (likely.cumsum(dim=1) - likely < top_p).sum(dim=1, keepdim=True)
    return likely.gather(1, inside.clamp(min=1) - 1)


def _descending(values: torch.Tensor) -> torch.Tensor:
    """Each row (B, N) sorted, largest first; on a CPU numpy sorts values alone five times faster than torch."""
    if values.device.type == "cpu":
        return torch.from_numpy(-np.sort(-values.numpy(), axis=1))
    return values.sort(dim=1, descending=True).values


def _invert(weights: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """The first column (B) where the running sum of weights (B, N) exceeds noise (B) times the whole sum."""
    running = weights.cumsum(dim=-1)
    wanted = noise.unsqueeze(1) * running[:, -1:]
    return torch.searchsorted(running, wanted, right=True).squeeze(1).clamp(max=weights.shape[-1] - 1)


def stream_text(text_format: ChatFormat | PlainText, ids: Iterable[int]) -> Iterator[str]:
    """Text of a stream of ids, in pieces that never split a character or a cluster of a letter and its marks.

    The last cluster is held back until the next letter shows that it is complete. The pieces join to `decode(ids)`.
    """
    plain = text_format.plain if isinstance(text_format, ChatFormat) else text_format
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    held, is_first = "", True
    for token_id in ids:
        if token_id in plain.control_ids:
            continue
        held += decoder.decode(plain.token_bytes(token_id, is_first=is_first))
        is_first = False
        start = _last_cluster(held)
        if start:
            yield held[:start]
            held = held[start:]
    held += decoder.decode(b"", final=True)
    if held:
        yield held


_JOINERS = "\u200d\u17d2\u1039\u1a60"  # zero-width joiner; Khmer, Burmese and Tai Tham signs that stack the next letter
_SPACING_VOWELS = "\u0e33\u0eb3"  # Thai and Lao AM: letters by category, written as marks


def _last_cluster(text: str) -> int:
    """Where the last letter-plus-marks cluster of a text starts."""
    start = len(text) - 1
    while start > 0 and (_continues(text[start]) or text[start - 1] in _JOINERS):
        start -= 1
    return max(start, 0)


def _continues(character: str) -> bool:
    return (
        unicodedata.category(character) in ("Mn", "Mc", "Me")
        or character in _JOINERS
        or character in _SPACING_VOWELS
        or "\U0001f3fb" <= character <= "\U0001f3ff"  # skin tones
        or "\U0001f1e6" <= character <= "\U0001f1ff"  # halves of flags
        or "\U000e0020" <= character <= "\U000e007f"  # tags of flags
    )
