"""Log-probabilities from rows of common beginnings equal those of one plain forward a sequence."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, LlamaForCausalLM, MistralConfig, PreTrainedModel

from seallm.base.errors import ModelError
from seallm.model import prefix_tree
from seallm.model.checkpoints import new_llama
from seallm.model.prefix_tree import next_token_log_probabilities

TARGETS = (3, 7, 3)
VOCABULARY = 23


@pytest.fixture(scope="module")
def tiny() -> LlamaForCausalLM:
    return new_llama(VOCABULARY, hidden_size=16, layers=2, heads=2, max_sequence_tokens=64, seed=2).eval()


def plain(model: PreTrainedModel, sequences: list[list[int]]) -> np.ndarray:
    with torch.inference_mode():
        rows = [model(torch.tensor([s]), use_cache=False).logits[0, -1].log_softmax(-1) for s in sequences]
    return np.array([[float(row[target]) for target in TARGETS] for row in rows])


tokens = st.lists(st.integers(0, 2), max_size=9)  # few different tokens, so that beginnings are often common
sequence_lists = st.builds(
    lambda start, rest: [[*start, *r] or [1] for r in rest],
    st.lists(st.integers(0, VOCABULARY - 1), max_size=12),
    st.lists(tokens, min_size=1, max_size=12),
)


@settings(max_examples=25, deadline=None)
@given(sequence_lists, st.sampled_from([1, 12, 768]), st.sampled_from([1, 40, 4_096]))
def test_equal_to_plain_forwards(
    tiny: LlamaForCausalLM, sequences: list[list[int]], longest: int, batch_tokens: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prefix_tree, "row_tokens", lambda _: longest)
        found = next_token_log_probabilities(tiny, sequences, TARGETS, batch_tokens)
    np.testing.assert_allclose(found, plain(tiny, sequences), atol=2e-5)


def test_a_pair_in_both_orders_is_computed_as_a_tree() -> None:
    question, first, second = [1] * 20, [2] * 10, [3] * 10
    sequences = [[*question, 4, *a, 5, *b, 6] for a, b in ((first, second), (second, first))]
    (row,) = prefix_tree._rows(sequences, 0, 768)
    assert len(row.ids) == 21 + 2 * 22  # the question once
    assert [len(path) for path in row.paths] == [43, 43]


def test_of_many_answers_each_is_computed_once_as_the_first() -> None:
    answers = [[10 + i] * 10 for i in range(4)]
    sequences = [[1] * 20 + a + b + [6] for a in answers for b in answers if a != b]
    (row,) = prefix_tree._rows(sequences, 0, 768)
    assert len(row.ids) == 20 + 4 * 10 + 12 * 11


def test_a_short_window_is_computed_plainly() -> None:
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = MistralConfig(vocab_size=VOCABULARY, num_key_value_heads=2, sliding_window=6, head_dim=8, **shape)
    model = AutoModelForCausalLM.from_config(config).eval()
    sequences = [[1] * 12 + [n, n] for n in range(4)]
    found = next_token_log_probabilities(model, sequences, TARGETS, 4_096)
    np.testing.assert_allclose(found, plain(model, sequences), atol=2e-5)


@pytest.mark.parametrize("bad", [[], [1] * 65])
def test_what_does_not_fit_is_one_line(tiny: LlamaForCausalLM, bad: list[int]) -> None:
    with pytest.raises(ModelError, match=rf"Sequence 1 has {len(bad)} tokens; expected 1 to 64"):
        next_token_log_probabilities(tiny, [[1], bad], TARGETS, 100)
