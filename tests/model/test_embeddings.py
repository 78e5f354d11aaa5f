"""New rows: the mean of the old pieces, by a reference that knows nothing of tokenizers' internals."""

import json
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from seallm.base.errors import ModelError
from seallm.model.chat_format import add_chat_tokens
from seallm.model.checkpoints import new_llama
from seallm.model.embeddings import _fill, extend_model, new_token_pieces
from tests.model.conftest import KINDS, build_tokenizer


def pinned(tokenizer: PreTrainedTokenizerFast) -> dict[str, Any]:
    """The tokenizer's JSON with added tokens in the vocabulary: else they are renumbered when it grows."""
    state: dict[str, Any] = json.loads(tokenizer.backend_tokenizer.to_str())
    state["model"]["vocab"] |= {t["content"]: t["id"] for t in state["added_tokens"]}
    return state


def extend(tokenizer: PreTrainedTokenizerFast, words: list[str]) -> PreTrainedTokenizerFast:
    """Splice merges that lead to each word (in the vocabulary's own writing) on top of the old ones."""
    state = pinned(tokenizer)
    model, next_id = state["model"], len(tokenizer)
    for word in words:
        pieces = [piece.value for piece in tokenizer.backend_tokenizer.model.tokenize(word)]
        left = pieces[0]
        for right in pieces[1:]:
            model["merges"].append([left, right])
            left += right
            if left not in model["vocab"]:
                model["vocab"][left] = next_id
                next_id += 1
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(state)), bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tie_embeddings", [True, False])
@pytest.mark.parametrize("method", ["mean", "calibrated-mean"])
def test_rows_are_means_of_old_pieces(kind: str, tie_embeddings: bool, method: str) -> None:
    old = build_tokenizer(kind)
    new = extend(old, ["quartz", "zephyr"])
    add_chat_tokens(new)
    model = new_llama(len(old), hidden_size=16, layers=1, heads=2, max_sequence_tokens=8, tie_embeddings=tie_embeddings)
    before = [m.weight.detach().clone() for m in (model.get_input_embeddings(), model.get_output_embeddings())]
    ids = extend_model(model, old, new, method)
    assert ids == list(range(len(old), len(new)))
    assert model.config.vocab_size == len(new)
    after = [model.get_input_embeddings().weight, model.get_output_embeddings().weight]
    assert (after[0] is after[1]) == tie_embeddings
    vocabulary, old_vocabulary = new.get_vocab(), old.get_vocab()
    for was, now in zip(before, after, strict=True):
        assert torch.equal(now[: len(old)], was)
        for word in ("quartz", "<|im_start|>"):
            pieces = [old_vocabulary[p.value] for p in old.backend_tokenizer.model.tokenize(word)]
            expected = was[pieces].mean(dim=0)
            if method == "calibrated-mean":
                expected = expected / expected.norm() * was.norm(dim=1).mean()
            torch.testing.assert_close(now[vocabulary[word]], expected)


def test_spare_rows_of_a_padded_model_are_used() -> None:
    old = build_tokenizer("byte-level")
    new = extend(old, ["quartz"])
    model = new_llama(len(old) + 64, hidden_size=16, layers=1, heads=2, max_sequence_tokens=8)
    ids = extend_model(model, old, new)
    assert model.get_input_embeddings().weight.shape[0] == len(old) + 64
    assert ids
    assert max(ids) < len(old) + 64


@pytest.mark.parametrize("tie_embeddings", [True, False])
def test_rows_are_added_up_to_a_multiple(tie_embeddings: bool) -> None:
    old = build_tokenizer("spm-first")
    new = extend(old, ["quartz"])
    model = new_llama(len(old), hidden_size=16, layers=1, heads=2, max_sequence_tokens=8, tie_embeddings=tie_embeddings)
    ids = extend_model(model, old, new, row_multiple=64)
    rows = model.get_input_embeddings().weight.shape[0]
    assert rows % 64 == 0
    assert len(new) <= rows < len(new) + 64
    assert model.config.vocab_size == rows
    assert ids == list(range(len(old), len(new)))
    for weight in (model.get_input_embeddings().weight, model.get_output_embeddings().weight):
        torch.testing.assert_close(weight[len(new) :], weight[: len(old)].mean(dim=0).expand(rows - len(new), 16))
    # hardly any probability goes to a row that belongs to no token
    with torch.no_grad():
        shares = model(torch.arange(8)[None]).logits.softmax(dim=-1)
    assert float(shares[..., len(new) :].max()) < 1.5 / rows


@pytest.mark.parametrize("tie_embeddings", [True, False])
def test_rows_of_similar_tokens(tie_embeddings: bool) -> None:
    """The new "zip" stands in texts; "qua" does not, and gets the mean of its pieces."""
    old = build_tokenizer("byte-level")
    new = extend(old, ["zip", "qua"])
    texts = [f"{animal} sat on a mat. {number} is 5 and 7" for number in range(60) for animal in ("zip", "table")]
    model = new_llama(len(old), hidden_size=16, layers=1, heads=2, max_sequence_tokens=8, tie_embeddings=tie_embeddings)
    before = [m.weight.detach().clone() for m in (model.get_input_embeddings(), model.get_output_embeddings())]
    plain = new_llama(len(old), hidden_size=16, layers=1, heads=2, max_sequence_tokens=8, tie_embeddings=tie_embeddings)
    ids = extend_model(model, old, new, "similarity", texts=texts)
    extend_model(plain, old, new, "mean")
    vocabulary = new.get_vocab()
    for was, module, mean in zip(
        before,
        (model.get_input_embeddings(), model.get_output_embeddings()),
        (plain.get_input_embeddings(), plain.get_output_embeddings()),
        strict=True,
    ):
        assert torch.equal(module.weight[: len(old)], was)
        row = module.weight[vocabulary["zip"]]
        assert not torch.allclose(row, mean.weight[vocabulary["zip"]])
        # inside the hull of the old rows
        assert bool((row <= was.max(dim=0).values + 1e-6).all() and (row >= was.min(dim=0).values - 1e-6).all())
        assert torch.equal(module.weight[vocabulary["qua"]], mean.weight[vocabulary["qua"]])
    assert ids == list(range(len(old), len(new)))


def test_similarity_without_texts_is_an_error() -> None:
    old = build_tokenizer("byte-level")
    model = new_llama(len(old), hidden_size=16, layers=1, heads=2, max_sequence_tokens=8)
    with pytest.raises(ModelError, match="similarity needs texts"):
        extend_model(model, old, extend(old, ["quartz"]), "similarity")


def test_same_tokenizer_changes_nothing() -> None:
    tokenizer = build_tokenizer("byte-level")
    model = new_llama(len(tokenizer), hidden_size=16, layers=1, heads=2, max_sequence_tokens=8)
    before = model.get_input_embeddings().weight.detach().clone()
    assert extend_model(model, tokenizer, tokenizer) == []
    assert torch.equal(model.get_input_embeddings().weight, before)


def test_characters_the_base_lacks_start_from_their_bytes() -> None:
    old = build_tokenizer("spm-first")
    state = pinned(old)
    state["model"]["vocab"]["ꦗ"] = len(old)
    new = PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(json.dumps(state)))
    expected = [old.convert_tokens_to_ids(f"<0x{byte:02X}>") for byte in "ꦗ".encode()]
    assert new_token_pieces(old, new) == {len(old): expected}


def test_moved_ids_are_refused() -> None:
    old = build_tokenizer("byte-level")
    state = json.loads(old.backend_tokenizer.to_str())
    vocabulary = state["model"]["vocab"]
    vocabulary["a"], vocabulary["b"] = vocabulary["b"], vocabulary["a"]
    new = PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(json.dumps(state)))
    with pytest.raises(ModelError, match="2 tokens of the old tokenizer"):
        new_token_pieces(old, new)


def test_standardised_rows_have_the_centre_and_the_spread_of_the_old_ones() -> None:
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(60, 16, generator=generator)
    weight[:20] = 9.0 + 0.01 * weight[:20]  # bytes that were never trained: all in one place, far away
    pieces = {number: [number % 20, (7 * number + 3) % 20] for number in range(50, 60)}
    used = torch.arange(50)
    _fill(weight, pieces, used, "standardised-mean")
    old, new = weight[:50], weight[50:]
    torch.testing.assert_close(new.mean(0), old.mean(0), rtol=0, atol=1e-5)
    spreads = [(rows - rows.mean(0)).norm(dim=1).mean() for rows in (old, new)]
    torch.testing.assert_close(spreads[0], spreads[1])
