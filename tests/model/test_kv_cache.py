"""A shared cache answers like one of its own."""

import torch
from transformers import LlamaForCausalLM

from seallm.model.kv_cache import new_cache, read_only_rows, shared_rows


@torch.inference_mode()
def test_shared_rows_leave_the_original_alone(model: LlamaForCausalLM) -> None:
    cache = new_cache(model)
    prompt, later = torch.tensor([[5, 6, 7, 8]]), torch.tensor([[9], [10], [11]])
    model(prompt, past_key_values=cache, use_cache=True)
    before = [layer.keys.clone() for layer in cache.layers]
    expected = model(torch.cat([prompt.expand(3, -1), later], dim=1)).logits[:, -1]
    for shared, tokens in ((shared_rows(cache, 3), 5), (read_only_rows(cache, 3), 4)):
        found = model(later, past_key_values=shared, use_cache=True).logits[:, -1]
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
        assert shared.get_seq_length() == tokens
    assert cache.get_seq_length() == 4
    assert all(torch.equal(layer.keys, was) for layer, was in zip(cache.layers, before, strict=True))
