from pathlib import Path

import pytest
import torch

from seallm.base.errors import ModelError
from seallm.model.checkpoints import new_llama
from seallm.model.new_rows import load_new_rows, save_new_rows

SHAPE = {"hidden_size": 16, "layers": 1, "heads": 2, "max_sequence_tokens": 8}


@pytest.mark.parametrize("tie_embeddings", [True, False])
def test_base_and_rows_are_the_extended_model_again(tie_embeddings: bool, tmp_path: Path) -> None:
    extended = new_llama(128, tie_embeddings=tie_embeddings, seed=2, **SHAPE)
    base = new_llama(100, tie_embeddings=tie_embeddings, seed=1, **SHAPE)
    state = {name: value for name, value in extended.state_dict().items() if "embed" not in name and "head" not in name}
    base.load_state_dict(state, strict=False)  # as an adapter would
    for weight, theirs in (
        (base.get_input_embeddings().weight, extended.get_input_embeddings().weight),
        (base.get_output_embeddings().weight, extended.get_output_embeddings().weight),
    ):
        weight.data[:100] = theirs.data[:100]
    ids = list(range(100, 126))
    save_new_rows(tmp_path / "rows.safetensors", extended, ids)
    assert load_new_rows(tmp_path / "rows.safetensors", base) == ids
    assert base.get_input_embeddings().weight.shape == (128, 16)
    assert (base.get_input_embeddings().weight is base.get_output_embeddings().weight) == tie_embeddings
    for mine, theirs in (
        (base.get_input_embeddings(), extended.get_input_embeddings()),
        (base.get_output_embeddings(), extended.get_output_embeddings()),
    ):
        assert torch.equal(mine.weight[:126], theirs.weight[:126])
    tokens = torch.tensor([[1, 120, 5, 101]])
    with torch.no_grad():
        torch.testing.assert_close(base(tokens).logits[..., :126], extended(tokens).logits[..., :126])


def test_a_model_of_another_shape(tmp_path: Path) -> None:
    save_new_rows(tmp_path / "rows.safetensors", new_llama(100, **SHAPE), [1, 2])
    wider = new_llama(100, **{**SHAPE, "hidden_size": 32})
    with pytest.raises(ModelError, match="rows of width 16 for tied embeddings; the model has tied ones of width 32"):
        load_new_rows(tmp_path / "rows.safetensors", wider)
    untied = new_llama(100, tie_embeddings=False, **SHAPE)
    with pytest.raises(ModelError, match="the model has untied ones of width 16"):
        load_new_rows(tmp_path / "rows.safetensors", untied)


def test_another_file(tmp_path: Path) -> None:
    (tmp_path / "rows.safetensors").write_bytes(b"no tensors")
    with pytest.raises(ModelError, match="is not a file of new rows") as caught:
        load_new_rows(tmp_path / "rows.safetensors", new_llama(100, **SHAPE))
    assert "\n" not in str(caught.value)
