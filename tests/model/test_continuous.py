"""Jobs that come and go get the answers that transformers gives each of them alone."""

import random
from dataclasses import replace

import pytest
import torch
from transformers import AutoModelForCausalLM as Auto
from transformers import (
    Gemma2Config,
    GPT2Config,
    GptOssConfig,
    LlamaConfig,
    MambaConfig,
    MistralConfig,
    PreTrainedConfig,
    PreTrainedModel,
    Qwen3Config,
)

from seallm.base.errors import ModelError
from seallm.base.sampling import SamplingSettings
from seallm.model.continuous import ContinuousBatch
from seallm.model.jobs import Job, Update
from seallm.model.row_attention import measure_token_bytes
from seallm.model.row_cache import RowCache
from seallm.model.rows import TransformersRows

VOCABULARY = 90
SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 600,
    "head_dim": 8,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
CONFIGS = {
    "llama": LlamaConfig(**SIZES),
    "mistral, sliding": MistralConfig(**SIZES, sliding_window=7),
    "qwen3": Qwen3Config(**SIZES),
    "gemma2, capped": Gemma2Config(**SIZES, sliding_window=9, attn_logit_softcapping=3.0, query_pre_attn_scalar=8),
    "gpt2, learned positions": GPT2Config(vocab_size=VOCABULARY, n_positions=600, n_embd=32, n_layer=2, n_head=4),
    "gpt-oss, sinks": GptOssConfig(**SIZES, sliding_window=9, num_local_experts=2, num_experts_per_tok=1),
}
GREEDY = SamplingSettings(25, temperature=0)


def lively(config: PreTrainedConfig) -> PreTrainedModel:
    """Weights so far from their start that a wrong position or mask changes the answer."""
    model = Auto.from_config(config).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() >= 2:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
    return model


@pytest.fixture(scope="module")
def model() -> PreTrainedModel:
    return lively(CONFIGS["llama"])


def small(model: PreTrainedModel) -> ContinuousBatch:
    return ContinuousBatch(TransformersRows(model, 2**30, 2**30), max_rows=4, step_tokens=6)


def prompts(count: int, longest: int = 40) -> list[list[int]]:
    drawn = random.Random(3)
    common = [drawn.randrange(3, VOCABULARY) for _ in range(12)]
    lengths = [drawn.randrange(1, longest) for _ in range(count)]
    return [common * (n % 2) + [drawn.randrange(3, VOCABULARY) for _ in range(k)] for n, k in enumerate(lengths)]


def reference(model: PreTrainedModel, prompt: list[int], **options: object) -> list[int]:
    """Transformers' own greedy decoding of one prompt, with its own attention."""
    model.set_attn_implementation("eager")
    found = model.generate(
        torch.tensor([prompt]),
        attention_mask=torch.ones(1, len(prompt)),
        do_sample=False,
        max_new_tokens=GREEDY.max_new_tokens,
        eos_token_id=2,
        pad_token_id=0,
        **options,
    )
    return list(found[0, len(prompt) :].tolist())


def finish(batch: ContinuousBatch) -> dict[int, list[Update]]:
    """Updates by key, to the end."""
    updates: dict[int, list[Update]] = {}
    while batch.num_sequences:
        for update in batch.step():
            updates.setdefault(update.key, []).append(update)
    return updates


def answers(batch: ContinuousBatch, jobs: list[Job]) -> list[list[int]]:
    for key, job in enumerate(jobs):
        batch.add(key, job)
    updates = finish(batch)
    return [[u.token_id for u in updates[key] if u.token_id is not None] for key in range(len(jobs))]


@pytest.mark.parametrize("kind", CONFIGS)
def test_greedy_answers_are_those_of_transformers(kind: str) -> None:
    model = lively(CONFIGS[kind])
    asked = prompts(7)
    expected = [reference(model, prompt) for prompt in asked]
    assert len({tuple(answer) for answer in expected}) == len(asked)
    batch = small(model)
    assert answers(batch, [Job(prompt, GREEDY, {2}) for prompt in asked]) == expected
    assert batch.figures.reused_tokens > 0


def test_joining_and_leaving_at_any_step_changes_no_answer(model: PreTrainedModel) -> None:
    asked = prompts(12)
    lengths = [1 + 5 * n % 23 for n in range(len(asked))]
    expected = [reference(model, prompt)[:length] for prompt, length in zip(asked, lengths, strict=True)]
    batch = small(model)
    found: dict[int, list[int | None]] = {key: [] for key in range(len(asked))}
    drawn, coming, cancelled = random.Random(1), list(range(len(asked))), {2, 7}
    while coming or batch.num_sequences:
        while coming and drawn.random() < 0.5:
            key = coming.pop(0)
            batch.add(key, Job(asked[key], replace(GREEDY, max_new_tokens=lengths[key]), {2}))
        for update in batch.step():
            found[update.key].append(update.token_id)
            if update.key in cancelled and len(found[update.key]) == 4:
                batch.remove(update.key)
    for key in range(len(asked)):
        assert found[key] == (expected[key][:4] if key in cancelled else expected[key])


def test_when_memory_is_short_the_youngest_wait_and_lose_nothing(model: PreTrainedModel) -> None:
    asked = prompts(6, longest=250)
    expected = [reference(model, prompt) for prompt in asked]
    bound = 600 * measure_token_bytes(model)  # one row of the longest kind
    batch = ContinuousBatch(TransformersRows(model, bound, 0), 6, 64)
    assert answers(batch, [Job(prompt, GREEDY, {2}) for prompt in asked]) == expected
    assert batch.computer.num_cached_tokens <= 600


def test_no_sequence_is_longer_than_the_cache(model: PreTrainedModel) -> None:
    (prompt,) = prompts(1, longest=30)
    expected = reference(model, prompt)
    bound = 300 * measure_token_bytes(model)
    batch = ContinuousBatch(TransformersRows(model, bound, 2**20), 6, 64)
    assert batch.computer.max_sequence_tokens == 300
    with pytest.raises(ModelError, match="300 tokens in all at most"):
        batch.add(0, Job([5] * 280, GREEDY))
    assert answers(batch, [Job(p, GREEDY, {2}) for p in (prompt, [5] * 275, prompt)])[0] == expected
    assert batch.computer.num_cached_tokens <= 300


def test_a_conversations_next_turn_reads_only_what_is_new(model: PreTrainedModel) -> None:
    (first,) = prompts(1, longest=300)
    batch = small(model)
    (said,) = answers(batch, [Job(first, GREEDY)])
    second = [*first, *said, 5, 6, 7]
    before = batch.figures.reused_tokens
    assert answers(batch, [Job(second, GREEDY, {2})]) == [reference(model, second)]
    assert batch.figures.reused_tokens - before == len(first) + len(said) - 1


def test_answers_to_one_prompt_read_it_once(model: PreTrainedModel) -> None:
    prompt = [*range(3, 83)]
    sampling = SamplingSettings(5, temperature=1.5, seed=3)
    batch = small(model)
    found = answers(batch, [Job(prompt, sampling, number=(0, n)) for n in range(4)])
    assert len({tuple(answer) for answer in found}) == 4
    assert batch.figures.reused_tokens == 3 * (len(prompt) - 1)


def test_a_seed_gives_the_same_answer_in_any_batch(model: PreTrainedModel) -> None:
    asked = prompts(6)
    rows = [
        SamplingSettings(20, temperature=1.1, seed=n, top_k=30, min_p=0.01, repetition_penalty=1.1) for n in range(6)
    ]
    jobs = [Job(prompt, row, {2}) for prompt, row in zip(asked, rows, strict=True)]
    together = answers(small(model), jobs)
    assert together == [answers(small(model), [job])[0] for job in jobs]


def test_repetition_penalty_is_that_of_transformers(model: PreTrainedModel) -> None:
    (prompt,) = prompts(1)
    expected = reference(model, prompt, repetition_penalty=1.4)
    assert expected != reference(model, prompt)
    job = Job(prompt, replace(GREEDY, repetition_penalty=1.4), {2})
    assert answers(small(model), [job]) == [expected]


def test_scores_are_those_of_a_plain_forward(model: PreTrainedModel) -> None:
    (prompt, other) = prompts(2)
    batch = small(model)
    batch.add(0, Job(other, GREEDY))
    batch.add(1, Job(prompt, replace(GREEDY, max_new_tokens=4), num_top=3, scores_prompt=True))
    batch.add(2, Job(prompt, replace(GREEDY, max_new_tokens=0), num_top=0, scores_prompt=True))
    found = finish(batch)
    ids = [*prompt, *(u.token_id for u in found[1] if u.token_id is not None)]
    logs = model(torch.tensor([ids])).logits[0].log_softmax(-1)
    expected = logs[:-1].gather(1, torch.tensor(ids[1:]).unsqueeze(1)).squeeze(1)
    prompt_scores = found[1][0].prompt_scores
    assert prompt_scores is not None
    told = [*prompt_scores, *(u.score for u in found[1] if u.score is not None)]
    torch.testing.assert_close(torch.tensor([s.log_probability for s in told]), expected, atol=1e-4, rtol=1e-4)
    for place, score in enumerate(told):
        assert [i for i, _ in score.top] == logs[place].topk(3).indices.tolist()
    (only,) = found[2]
    assert (only.token_id, only.is_last, len(only.prompt_scores or ())) == (None, True, len(prompt) - 1)


def test_penalties_and_biases_change_no_score(model: PreTrainedModel) -> None:
    (prompt,) = prompts(1)
    sampling = replace(GREEDY, max_new_tokens=3, repetition_penalty=3.0, logit_bias=((7, 50.0),))
    batch = small(model)
    batch.add(0, Job(prompt, sampling, num_top=2))
    made = finish(batch)[0]
    ids = [u.token_id for u in made if u.token_id is not None]
    assert ids == [7, 7, 7]
    logs = model(torch.tensor([[*prompt, *ids]])).logits[0, len(prompt) - 1 : -1].log_softmax(-1)
    told = [u.score for u in made if u.score is not None]
    torch.testing.assert_close(torch.tensor([s.log_probability for s in told]), logs[:, 7], atol=1e-4, rtol=1e-4)
    assert [[i for i, _ in s.top] for s in told] == logs.topk(2).indices.tolist()


def test_rows_that_grow_leave_no_memory_behind() -> None:
    cache = RowCache(1, 2**40, 600)
    rows = [cache.new_row(200) for _ in range(8)]
    assert cache.num_tokens <= 1.25 * 8 * 256
    for row in rows:
        assert row is not None
        assert cache.has_room(row, 400)
    fourth = cache.new_row(600)
    assert fourth is not None
    assert cache.num_tokens <= 1.25 * 9 * 600  # not those of 256 tokens besides


def test_what_is_kept_is_bounded(model: PreTrainedModel) -> None:
    asked = prompts(20)
    expected = [reference(model, prompt) for prompt in asked[-3:]]
    rows = TransformersRows(model, 2**30, 150 * measure_token_bytes(model))
    batch = ContinuousBatch(rows, 4, 6)
    found = answers(batch, [Job(prompt, GREEDY, {2}) for prompt in asked])
    assert found[-3:] == expected
    assert 0 < rows.prefixes.num_tokens <= 150
    root, held = rows.prefixes._root, 0
    open_nodes = [root]
    while open_nodes:
        node = open_nodes.pop()
        held += len(node.ids)
        assert all(states.shape[1] == len(node.ids) for states in node.states.values())
        open_nodes += node.children.values()
    assert held == rows.prefixes.num_tokens


def test_jobs_that_cannot_be_done(model: PreTrainedModel) -> None:
    batch = small(model)
    for prompt in ([], [5] * 590):
        with pytest.raises(ModelError, match=r"expected a prompt, and 600 tokens in all"):
            batch.add(0, Job(prompt, GREEDY))
    for job in (Job([5, VOCABULARY], GREEDY), Job([5], replace(GREEDY, logit_bias=((VOCABULARY, 1.0),)))):
        with pytest.raises(ModelError, match=r"ids 0 to 89"):
            batch.add(0, job)
    assert batch.num_sequences == 0


def test_rounding_of_a_deep_model_in_half_precision_is_no_fault() -> None:
    deep = lively(LlamaConfig(**SIZES | {"num_hidden_layers": 24})).bfloat16()
    found = answers(small(deep), [Job(prompt, GREEDY, {2}) for prompt in prompts(3)])
    assert all(found)


def test_models_without_ordinary_attention_are_refused() -> None:
    config = MambaConfig(vocab_size=VOCABULARY, hidden_size=16, num_hidden_layers=1, state_size=4)
    config.max_position_embeddings = 100
    with pytest.raises(ModelError, match=r"attention of another kind.*--engine vllm"):
        small(Auto.from_config(config))
