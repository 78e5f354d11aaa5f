"""Shared caches hold what transformers' own cache holds."""

import torch
from transformers import LlamaForCausalLM
from transformers.cache_utils import DynamicLayer

from seallm.model.kv_cache import ROOM_TOKENS, RoomyLayer, new_cache, read_only_rows, roomy_copies, shared_rows


def states(rows: int, tokens: int) -> torch.Tensor:
    return torch.randn(rows, 2, tokens, 4)


def test_roomy_layer_grows_and_selects_like_the_dynamic_one() -> None:
    plain = DynamicLayer()
    first = states(4, 3), states(4, 3)
    plain.update(*first)
    roomy = RoomyLayer(*first)
    for step in range(2 * ROOM_TOKENS + 5):
        if step == ROOM_TOKENS - 1:
            rows = torch.tensor([3, 0])
            plain.batch_select_indices(rows)
            roomy.batch_select_indices(rows)
        new = (states(plain.keys.shape[0], 1), states(plain.keys.shape[0], 1))
        for ours, theirs in zip(roomy.update(*new), plain.update(*new), strict=True):
            assert torch.equal(ours, theirs)
        assert roomy.get_seq_length() == plain.get_seq_length()


@torch.inference_mode()
def test_copies_and_shared_rows_leave_the_original_alone(model: LlamaForCausalLM) -> None:
    cache = new_cache(model)
    prompt, later = torch.tensor([[5, 6, 7, 8]]), torch.tensor([[9], [10], [11]])
    model(prompt, past_key_values=cache, use_cache=True)
    before = [layer.keys.clone() for layer in cache.layers]
    expected = model(torch.cat([prompt.expand(3, -1), later], dim=1)).logits[:, -1]
    for shared, tokens in ((roomy_copies(cache, 3), 5), (shared_rows(cache, 3), 5), (read_only_rows(cache, 3), 4)):
        found = model(later, past_key_values=shared, use_cache=True).logits[:, -1]
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
        assert shared.get_seq_length() == tokens
    assert cache.get_seq_length() == 4
    assert all(torch.equal(layer.keys, was) for layer, was in zip(cache.layers, before, strict=True))
    again = roomy_copies(cache, 1, use_up=True)
    assert torch.equal(again.layers[0].keys, before[0])
    assert cache.layers[0].keys is None
