import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from seallm.base.records import Message, Preference
from seallm.base.runtime import Runtime
from seallm.model.chat_format import ChatFormat
from seallm.recipe_training import Dpo
from seallm.train.pairs import Pair, answer_log_probabilities, collate_pairs, encode_pairs
from seallm.train.preference_figures import compare_accuracy
from seallm.train.preference_losses import preference_losses
from seallm.train.reference import log_probabilities_of
from tests.train.conftest import tiny_llama

CPU = torch.device("cpu")
ids = st.integers(0, 330)
pairs = st.builds(Pair, *(st.lists(ids, min_size=1, max_size=n) for n in (20, 12, 12)))


def separate(model: torch.nn.Module, prompt: list[int], answer: list[int]) -> torch.Tensor:
    logits = model(torch.tensor([prompt + answer]), use_cache=False).logits[0, len(prompt) - 1 : -1]
    return F.log_softmax(logits, dim=-1).gather(1, torch.tensor(answer)[:, None]).sum()


@settings(max_examples=15, deadline=None)
@given(st.lists(pairs, min_size=1, max_size=6))
def test_shared_prompts_equal_separate_forwards(batch: list[Pair]) -> None:
    model = tiny_llama()
    reference = torch.randn(2, len(batch), generator=torch.Generator().manual_seed(0))
    lengths = torch.tensor([[len(p.chosen) for p in batch], [len(p.rejected) for p in batch]])
    expected = torch.stack(
        [
            torch.stack([separate(model, p.prompt, a) for p, a in zip(batch, answers, strict=True)])
            for answers in ([p.chosen for p in batch], [p.rejected for p in batch])
        ]
    )
    preference_losses(expected, reference, lengths, Dpo()).sum().backward()
    wanted = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    found = answer_log_probabilities(model, collate_pairs(batch, reference, len(batch), CPU))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-4)
    preference_losses(found, reference, lengths, Dpo()).sum().backward()
    for parameter, gradient in zip(model.parameters(), wanted, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-3, atol=1e-5)


def test_pairs_share_rows() -> None:
    batch = collate_pairs(
        [Pair([1] * 10, [2] * 5, [3] * 5), *[Pair([1] * 4, [2] * 3, [3] * 2)] * 4], torch.zeros(2, 5), 5, CPU
    )
    assert batch.input_ids.shape == (3, 20)
    assert batch.position_ids[0].tolist() == [*range(10), *range(10, 15), *range(10, 15)]


def test_log_probabilities_do_not_depend_on_the_batch(chat_format: ChatFormat) -> None:
    generator = np.random.default_rng(0)
    many = [Pair(*(generator.integers(0, 331, n).tolist() for n in generator.integers(1, 60, 3))) for _ in range(80)]
    model = tiny_llama().eval()
    together = log_probabilities_of(model, many, Runtime())
    alone = np.concatenate([log_probabilities_of(model, [pair], Runtime()) for pair in many], axis=1)
    np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-4)


def preference(question: str, chosen: str, rejected: str) -> Preference:
    answers = ((Message("assistant", text),) for text in (chosen, rejected))
    return Preference((Message("user", question),), *answers, "en")


def test_pairs_are_encoded_in_the_chat_format(chat_format: ChatFormat) -> None:
    found, left_out = encode_pairs(
        [preference("Hi", "Hello", "Bye"), preference("Hi", "word " * 99, "Bye"), preference("Hi", "Hello", "Hello ")],
        chat_format,
        60,
    )
    assert dict(left_out) == {"longer than max_sequence_tokens": 1, "both answers alike": 1}
    whole = chat_format.encode((Message("user", "Hi"), Message("assistant", "Hello"))).ids
    assert found[0].prompt + found[0].chosen == whole
    assert found[0].rejected[-1] == chat_format.end_id


def accuracies(before: list[float], after: list[float]) -> dict[str, object]:
    """Margins of the chosen answers, of pairs whose chosen answer has twice the tokens of the rejected one."""
    found = [Pair([1], [2, 2], [3])] * len(before)
    values = (np.array([[2.0 * (m - 1) for m in margins], [-1.0] * len(margins)]) for margins in (before, after))
    return compare_accuracy(found, *values, trained=True)


@pytest.mark.parametrize(
    ("before", "after", "improved", "words"),
    [
        ([-1.0] * 20, [1.0] * 20, True, "improved the accuracy from 0.00 to 1.00 on 20"),
        ([1.0, -1.0] * 10, [1.0, -1.0] * 9 + [1.0, 1.0], True, "within chance"),
        ([1.0, -1.0] * 10, [1.0, -1.0] * 10, False, "did not improve"),
        ([1.0] * 20, [-1.0] * 20, False, "did not improve"),
        ([], [], False, "not measured"),
    ],
)
def test_the_sentence_is_honest(before: list[float], after: list[float], improved: bool, words: str) -> None:
    found = accuracies(before, after)
    assert found["improved"] is improved
    assert words in str(found["sentence"])


def test_accuracy_is_per_token_and_has_an_interval() -> None:
    found = accuracies([0.5, 0.5, 0.5, -0.5], [0.5] * 4)
    assert found["before"]["value"] == 0.75
    assert found["before"]["n"] == 4
    assert 0 < found["before"]["low"] < 0.75 < found["before"]["high"] < 1
