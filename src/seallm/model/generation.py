"""Prompts to answers, many at once.

All prompts go through one batch that sequences join and leave between two tokens, and each prompt is computed once for
all its answers. Each answer draws its random numbers from a generator of its own, seeded by (seed, prompt, answer): it
is the same answer in any batch, up to rounding.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from transformers import PreTrainedModel

from seallm.base.errors import ModelError
from seallm.base.sampling import SamplingSettings as SamplingSettings
from seallm.model.continuous import ContinuousBatch
from seallm.model.jobs import Job
from seallm.model.row_attention import attend_by_rows, attention_kept, measure_token_bytes
from seallm.model.rows import TransformersRows

# what prompts begin with stays; so do the last whole ones, which tell where others part from them, or have more answers
KEPT_PROMPTS, KEPT_PROMPTS_OF_MANY_ANSWERS = 2, 4
STEP_TOKENS, CPU_STEP_TOKENS = 2_048, 1_024  # of prompts; with more, a processor is slower
ALL_MEMORY = 2**50  # who asks for too many answers at once sees the memory error, and can ask for fewer

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
        settings: length and randomness; several of one length: the answers to a prompt take turns.
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
    limits = _limits(model, prompts, turns[0])
    numbers_of = range(first_prompt, first_prompt + len(prompts)) if isinstance(first_prompt, int) else first_prompt
    answers: list[list[list[int]]] = [[[] for _ in range(num_return)] for _ in prompts]
    if not prompts:
        return answers
    with attention_kept(model):
        attend_by_rows(model)
        kept = KEPT_PROMPTS if num_return == 1 else KEPT_PROMPTS_OF_MANY_ANSWERS
        prefix_bytes = kept * max(map(len, prompts)) * measure_token_bytes(model)
        step_tokens = CPU_STEP_TOKENS if model.device.type == "cpu" else STEP_TOKENS
        batch = ContinuousBatch(TransformersRows(model, ALL_MEMORY, prefix_bytes), batch_sequences, step_tokens)
        asked = [(p, a) for p in sorted(range(len(prompts)), key=lambda p: len(prompts[p])) for a in range(num_return)]
        for key, (prompt, answer) in enumerate(asked):
            fitting = replace(turns[answer % len(turns)], max_new_tokens=limits[prompt])
            number = (numbers_of[prompt], answer)
            batch.add(key, Job(prompts[prompt], fitting, () if callable(stop) else frozenset(stop), number=number))
        while batch.num_sequences:
            for update in batch.step():
                prompt, answer = asked[update.key]
                ids = answers[prompt][answer]
                if update.token_id is not None:
                    ids.append(update.token_id)
                if callable(stop) and not update.is_last and stop(ids):
                    batch.remove(update.key)
    return answers


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
