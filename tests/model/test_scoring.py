"""Scoring: shared prefixes give what plain forwards give; bits per byte against a token-by-token reference."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import LlamaForCausalLM, MistralConfig, MistralForCausalLM, PreTrainedModel

from seallm.base.errors import DataError, ModelError
from seallm.model import head, scoring, shared_prefixes
from seallm.model.chat_format import ChatFormat, document_start_id
from seallm.model.checkpoints import new_llama
from seallm.model.plain_text import PlainText
from seallm.model.scoring import BitsPerByte, Likelihood, bits_per_byte, continuation_log_likelihoods
from tests.model.conftest import TEXT, build_tokenizer
from tests.model.test_generation import with_random_head

Request = tuple[list[int], list[int]]


@pytest.fixture(scope="module")
def lively() -> LlamaForCausalLM:
    return with_random_head(new_llama(90, hidden_size=32, layers=2, heads=4, max_sequence_tokens=512))


@torch.no_grad()
def reference(model: PreTrainedModel, prefix: list[int], continuation: list[int]) -> Likelihood:
    logits = model(torch.tensor([prefix + continuation])).logits[0, len(prefix) - 1 : -1].double()
    target = torch.tensor(continuation)
    values = logits.log_softmax(-1).gather(1, target.unsqueeze(1))
    return Likelihood(float(values.sum()), bool((logits.argmax(-1) == target).all()))


def check(model: PreTrainedModel, requests: list[Request], batch_tokens: int) -> None:
    found = continuation_log_likelihoods(model, requests, batch_tokens)
    for (prefix, continuation), result in zip(requests, found, strict=True):
        expected = reference(model, prefix, continuation)
        assert result.sum == pytest.approx(expected.sum, abs=1e-4)
        assert result.is_greedy == expected.is_greedy


def few_shot(examples: int, questions: int) -> list[Request]:
    generator = torch.Generator().manual_seed(examples)

    def some(low: int, high: int) -> list[int]:
        length = int(torch.randint(low, high, (1,), generator=generator))
        return torch.randint(0, 90, (length,), generator=generator).tolist()

    shots = [token for _ in range(examples) for token in some(20, 40)]
    prefixes = [shots + some(1, 30) for _ in range(questions)]
    return [(prefix, some(1, 8)) for prefix in prefixes for _ in range(4)]


@pytest.mark.parametrize("batch_tokens", [1, 300, 100_000])
def test_few_shot_choices_equal_plain_forwards(lively: LlamaForCausalLM, batch_tokens: int) -> None:
    requests = few_shot(5, 12) + few_shot(0, 9) + few_shot(2, 15)
    shared = [tokens for _, tokens in scoring._runs(scoring._group(requests, False), 512)]
    assert sum(tokens > 0 for tokens in shared) == 2  # both few-shot tasks share, the third has nothing to share
    check(lively, requests, batch_tokens)


ids = st.lists(st.integers(0, 5), min_size=1, max_size=12)


@settings(max_examples=40, deadline=None)
@given(requests=st.lists(st.tuples(ids, ids), min_size=1, max_size=12), cost=st.sampled_from([0, 5, 512]))
def test_any_requests_equal_plain_forwards(lively: LlamaForCausalLM, requests: list[Request], cost: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shared_prefixes, "CPU_RUN_COST_TOKENS", cost)  # share even where it does not pay
        patch.setattr(shared_prefixes, "THRESHOLDS", (1, 2, 4))
        check(lively, requests, 64)


def test_logits_in_many_parts_equal_plain_forwards(lively: LlamaForCausalLM, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(head, "LOGIT_ELEMENTS", 3 * 90)  # three positions at once: a prefix's last one is read by all
    check(lively, few_shot(2, 6), 100_000)


def test_long_continuations_of_one_prefix_get_rows_of_their_own(lively: LlamaForCausalLM) -> None:
    """Whole texts share nothing but the document's start; in one row, each would be masked against all others."""
    requests = [([1], [2 + (number * 7 + i) % 80 for i in range(100)]) for number in range(20)]
    groups = scoring._group(requests, False)
    assert max(group.row_tokens(0) for group in groups) <= scoring.ROW_TOKENS
    check(lively, requests, 2_000)


def test_each_prefix_is_computed_once(lively: LlamaForCausalLM) -> None:
    tokens = 0

    def count(module: torch.nn.Module, args: tuple[torch.Tensor], output: torch.Tensor) -> None:
        nonlocal tokens
        tokens += output.shape[0] * output.shape[1]

    requests = few_shot(5, 12)
    handle = lively.get_input_embeddings().register_forward_hook(count)
    continuation_log_likelihoods(lively, requests, 10_000)
    handle.remove()
    separate = sum(len(prefix) + len(continuation) for prefix, continuation in requests)
    assert tokens < separate / 5


def test_greedy_continuation_is_found(lively: LlamaForCausalLM) -> None:
    prefix, greedy = [3, 1, 4], []
    for _ in range(3):
        with torch.no_grad():
            greedy.append(int(lively(torch.tensor([prefix + greedy])).logits[0, -1].argmax()))
    other = [*greedy[:2], (greedy[2] + 1) % 90]
    found = continuation_log_likelihoods(lively, [(prefix, greedy), (prefix, other), (prefix, greedy[:1])], 100)
    assert [score.is_greedy for score in found] == [True, False, True]


def test_repeated_and_empty_requests(lively: LlamaForCausalLM) -> None:
    found = continuation_log_likelihoods(lively, [([1, 2], [3]), ([1, 2], []), ([1, 2], [3])], 100)
    assert found[0] == found[2]
    assert found[1] == Likelihood(0.0, True)
    assert continuation_log_likelihoods(lively, [], 100) == []


def test_long_sliding_window_requests_equal_plain_forwards() -> None:
    config = MistralConfig(
        vocab_size=90,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        sliding_window=16,
        max_position_embeddings=512,
    )
    check(with_random_head(MistralForCausalLM(config).eval()), few_shot(2, 5), 1_000)


def test_soft_capped_logits_are_capped(lively: LlamaForCausalLM) -> None:
    hidden = torch.randn(3, 32)
    plain = scoring.sum_log_probabilities(lively, hidden, *[torch.arange(3)] * 3)[0]
    lively.config.final_logit_softcapping = 2.0
    capped = scoring.sum_log_probabilities(lively, hidden, *[torch.arange(3)] * 3)[0]
    lively.config.final_logit_softcapping = None
    logits = torch.tanh(lively.lm_head(hidden) / 2.0) * 2.0
    torch.testing.assert_close(capped, logits.log_softmax(-1).diagonal().double(), atol=1e-5, rtol=0)
    assert not torch.allclose(plain, capped)


def test_requests_that_cannot_be_scored(lively: LlamaForCausalLM) -> None:
    with pytest.raises(ModelError, match="Request 1 has no prefix"):
        continuation_log_likelihoods(lively, [([1], [2]), ([], [2])], 100)
    with pytest.raises(ModelError, match=r"Request 0 has 500 \+ 14 tokens"):
        continuation_log_likelihoods(lively, [([1] * 500, [2] * 14)], 100)
    lively.config.logit_scale = 0.1
    with pytest.raises(ModelError, match=r"scales its logits \(logit_scale\)"):
        continuation_log_likelihoods(lively, [([1], [2])], 100)
    del lively.config.logit_scale


@pytest.mark.parametrize("kind", ["byte-level", "spm-first"])
@pytest.mark.parametrize("batch_tokens", [1, 64, 8_192])
def test_bits_per_byte_equals_the_reference(kind: str, batch_tokens: int) -> None:
    tokenizer = build_tokenizer(kind)
    model = with_random_head(new_llama(len(tokenizer), hidden_size=32, layers=2, heads=2, max_sequence_tokens=64))
    texts = [*TEXT[:7], "", TEXT[0] * 3, "</s>"]
    plain, window = PlainText(tokenizer), 20
    bits = 0.0
    for text in texts:
        whole = [document_start_id(tokenizer), *plain.encode(text)]
        for at in range(1, len(whole)):
            context = whole[(at - 1) // window * window : at]  # windows start with the token before them
            with torch.no_grad():
                logits = model(torch.tensor([context])).logits[0, -1].double()
            bits -= float(logits.log_softmax(-1)[whole[at]]) / math.log(2)
    found = bits_per_byte(model, tokenizer, texts, window, batch_tokens=batch_tokens)
    assert found.bits == pytest.approx(bits, rel=1e-5)
    assert found.bytes == sum(len(text.encode()) for text in texts)
    assert found.documents == len(texts)
    assert found == bits_per_byte(model, plain, texts, window, batch_tokens=batch_tokens)


def test_bits_per_byte_of_nothing(chat_format: ChatFormat, model: LlamaForCausalLM) -> None:
    nothing = bits_per_byte(model, chat_format.tokenizer, [""], 16)
    assert nothing == BitsPerByte(0.0, 0, 1)
    with pytest.raises(DataError, match="1 documents without any text"):
        _ = nothing.value
