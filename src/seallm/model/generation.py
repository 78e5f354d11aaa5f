"""Prompts to answers: batched sampling with a key-value cache, and streams of ids and of text.

What prompts have in common is computed once for all of them. Rows that have ended leave the batch, and those of prompts
that wait take their places. Each answer draws its random numbers from a generator of its own, seeded by (seed, prompt,
answer): it is the same answer in any batch, up to rounding.
"""

import codecs
import unicodedata
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
from transformers import Cache, PreTrainedModel

from seallm.base.errors import ModelError
from seallm.base.sampling import SamplingSettings as SamplingSettings
from seallm.model.chat_format import ChatFormat
from seallm.model.decoding import DecodingBatch, Row, prefill
from seallm.model.plain_text import PlainText
from seallm.model.shared_prefixes import has_short_window, prefix_cache, run_cost_tokens, shared_runs

KEEP_SHARE = 0.75  # a batch is compacted, and filled up, when at most this share of its rows is still going
Stop = Collection[int] | Callable[[Sequence[int]], bool]


def generate(
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    stop: Stop,
    settings: SamplingSettings,
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
        settings: length and randomness.
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
    limits = _limits(model, prompts, settings)
    numbers = range(first_prompt, first_prompt + len(prompts)) if isinstance(first_prompt, int) else first_prompt
    answers = [
        [Row(limit, _noise(number, answer, settings)) for answer in range(num_return)]
        for number, limit in zip(numbers, limits, strict=True)
    ]
    queue = _Queue(model, prompts, answers, settings, batch_sequences)
    for _ in _decode(queue, stop):
        pass
    return [[row.ids for row in rows] for rows in answers]


def stream(
    model: PreTrainedModel, prompt: Sequence[int], stop_ids: Collection[int], settings: SamplingSettings
) -> Iterator[int]:
    """The ids of `generate`'s only answer to one prompt, each as soon as it is known; a stop id is the last.

    Raises:
        ModelError: as `generate`.
    """
    row = Row(_limits(model, [prompt], settings)[0], _noise(0, 0, settings))
    for _ in _decode(_Queue(model, [prompt], [[row]], settings, 1), stop_ids):
        yield row.ids[-1]


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


def _noise(prompt: int, answer: int, settings: SamplingSettings) -> npt.NDArray[np.float32] | None:
    """Uniform numbers, one an id of an answer, from a generator of its own."""
    if settings.temperature == 0:
        return None
    generator = np.random.default_rng((settings.seed % 2**64, prompt, answer))
    return generator.random(settings.max_new_tokens, dtype=np.float32)


class _Queue:
    """Answers that wait for their turn: prompts that begin alike behind each other, and of these the shortest first."""

    def __init__(
        self,
        model: PreTrainedModel,
        prompts: Sequence[Sequence[int]],
        answers: Sequence[Sequence[Row]],
        settings: SamplingSettings,
        batch_sequences: int,
    ) -> None:
        self.model, self.prompts, self.answers, self.settings = model, prompts, answers, settings
        self.batch_sequences = batch_sequences
        self._longest = max((len(p) + rows[0].limit for p, rows in zip(prompts, answers, strict=True)), default=0)
        self._waiting = self._in_order()
        self._next = next(self._waiting, None)

    def _in_order(self) -> Iterator[tuple[int, Sequence[Row], Cache | None, int]]:
        """(prompt, rows that start together, cache of what its run shares, how many tokens that are)."""
        everything = list(range(len(self.prompts)))
        cost = run_cost_tokens(self.model.device)
        alone = has_short_window(self.model, self._longest)
        runs = [(everything, 0)] if alone else shared_runs([tuple(p) for p in self.prompts], cost)
        for run, shared in runs:
            prefix = prefix_cache(self.model, self.prompts[run[0]][:shared]) if shared else None
            for prompt in sorted(run, key=lambda number: len(self.prompts[number])):
                rows = self.answers[prompt]
                for start in range(0, len(rows), self.batch_sequences):
                    yield prompt, rows[start : start + self.batch_sequences], prefix, shared

    def take(self, room: int) -> DecodingBatch | None:
        """A batch of the next answers, at most `room`; None where none waits, or the next ones do not fit."""
        if self._next is None or len(self._next[1]) > room:
            return None
        first, prompts = self._next, []
        rows: list[Row] = []
        while (
            self._next is not None
            and self._next[2] is first[2]
            and len(self._next[1]) == len(first[1])
            and len(rows) + len(first[1]) <= room
        ):
            prompts.append(self.prompts[self._next[0]][first[3] :])
            rows += self._next[1]
            self._next = next(self._waiting, None)
        return DecodingBatch(self.model, prefill(self.model, prompts, first[2], first[3]), rows, self.settings)


def _decode(queue: _Queue, stop: Stop) -> Iterator[None]:
    """Write the ids of all rows of a queue; one step a turn."""
    batch = queue.take(queue.batch_sequences)
    while batch is not None:
        ids = batch.draw()
        for row, token_id in zip(batch.rows, ids.tolist(), strict=True):
            if not row.has_ended:
                row.ids.append(token_id)
                is_last = stop(row.ids) if callable(stop) else token_id in stop
                row.has_ended = is_last or len(row.ids) >= row.limit
        yield
        going = [place for place, row in enumerate(batch.rows) if not row.has_ended]
        if not going:
            del batch  # before the next one is made
            batch = queue.take(queue.batch_sequences)
            continue
        if len(going) <= KEEP_SHARE * len(batch.rows):
            batch.keep(going)
            ids = ids[going]
        batch.advance(ids)
        if len(going) <= KEEP_SHARE * queue.batch_sequences and batch.takes_others:
            newcomers = queue.take(queue.batch_sequences - len(batch.rows))
            if newcomers is not None:
                batch.join(newcomers)


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
