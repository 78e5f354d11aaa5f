"""A written file holds the model: tensors, token ids, output; by llama.cpp where it is installed."""

import json
import resource
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from seallm.base.errors import DataError, ModelError, WorkspaceError
from seallm.export import pre_tokenizers
from seallm.export.check_texts import check_texts
from seallm.export.folder import RECORD
from seallm.export.gguf import GgufSettings, export_gguf
from seallm.export.gguf_check import GREEDY_TOKENS, Check
from seallm.export.gguf_file import GgufType, plan_conversion, stored
from seallm.export.llama_cpp_reader import has_llama_cpp
from tests.export.conftest import MakeModel

pytest.importorskip("gguf")

LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 10_000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
EXACT = GgufSettings("f32", 0.0)


def export(folder: Path, out: Path, settings: GgufSettings = EXACT) -> Check:
    return export_gguf(folder, out, "tiny", settings, None, lambda text: None)


@pytest.mark.parametrize(
    ("architecture", "tokenizer", "settings"),
    [
        ("llama", "qwen", {"tie_word_embeddings": True}),
        ("llama", "spm-first", {"rope_parameters": LLAMA3}),
        ("llama", "byte-level", {"rope_parameters": {"rope_type": "linear", "rope_theta": 500.0, "factor": 2.0}}),
        ("mistral", "spm-prepend", {"sliding_window": None}),
        ("qwen2", "qwen", {}),
        ("qwen3", "qwen", {"head_dim": 32, "tie_word_embeddings": True}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_architecture_answers_alike(
    make_model: MakeModel, tmp_path: Path, architecture: str, tokenizer: str, settings: dict[str, Any]
) -> None:
    folder = make_model(architecture, tokenizer, **settings)
    found = export(folder, tmp_path / "out")
    assert set(found.different_share.values()) == {0.0}
    assert len(found.different_share) == 11
    assert found.largest_difference == 0.0
    if not has_llama_cpp() and (architecture == "qwen3" or "rope_parameters" in settings):
        assert found.greedy_by is None  # transformers' reader passes over these
    else:
        assert found.equal_prompts == found.prompts == 11
        assert found.equal_tokens == 11 * GREEDY_TOKENS
    assert [p.name for p in (tmp_path / "out").glob("*.gguf")] == ["tiny-f32.gguf"]
    assert json.loads((tmp_path / "out" / RECORD).read_text())["check"]["texts"] == found.texts


@pytest.mark.parametrize(("kind", "step"), [("f16", 2**-11), ("bf16", 2**-8), ("q8_0", 1 / 254 + 2**-11)])
def test_number_types(make_model: MakeModel, tmp_path: Path, kind: GgufType, step: float) -> None:
    folder = make_model("llama", "qwen")
    found = export(folder, tmp_path / "out", GgufSettings(kind, 0.0))
    assert 0 < found.largest_difference <= step * 1.01
    assert found.equal_tokens > 0


def test_equal_models_give_equal_bytes(make_model: MakeModel, tmp_path: Path) -> None:
    folder = make_model("llama", "spm-first")
    settings = GgufSettings("q8_0", 0.0, compares_output=False)
    assert export(folder, tmp_path / "one", settings).greedy_by is None
    export(folder, tmp_path / "other", settings)
    export(folder, tmp_path / "other", settings)  # an earlier export is replaced
    one, other = ((tmp_path / name / "tiny-q8_0.gguf").read_bytes() for name in ("one", "other"))
    assert one == other


def test_q8_0_is_rounding_to_bytes_with_a_scale(make_model: MakeModel) -> None:
    conversion = plan_conversion(make_model(), "q8_0", ["a"])
    tensor, numbers = next((t, n.numpy()) for t, n in conversion.values() if t.name == "blk.0.ffn_up.weight")
    packed = stored(tensor, numbers).reshape(-1, 34)
    rows = numbers.reshape(-1, 32)
    scales = np.abs(rows).max(axis=1) / 127
    assert packed[:, :2].copy().view(np.float16)[:, 0].tolist() == scales.astype(np.float16).tolist()
    assert np.abs(packed[:, 2:].view(np.int8) - rows / scales[:, None]).max() < 0.51


def test_rows_that_are_no_multiple_of_32(make_model: MakeModel) -> None:
    conversion = plan_conversion(make_model(intermediate_size=72), "q8_0", ["a"])
    kinds = {tensor.name: tensor.type for tensor in conversion.tensors}
    assert kinds["blk.0.ffn_down.weight"] == "f16"
    assert kinds["blk.0.ffn_up.weight"] == "q8_0"
    assert kinds["blk.0.attn_norm.weight"] == "f32"


def test_too_large_for_float16(make_model: MakeModel, tmp_path: Path) -> None:
    folder = make_model()
    file = folder / "model.safetensors"
    weights = load_file(file)
    weights["model.layers.1.mlp.up_proj.weight"][3, 4] = 70_000.0
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"up_proj.weight holds 7e\+04, beyond float16. Use --type bf16"):
        export(folder, tmp_path / "out", GgufSettings("f16"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hidden_act": "gelu"}, "hidden_act = 'gelu'"),
        ({"rope_parameters": {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}}, "rope_type = 'dynamic'"),
    ],
)
def test_settings_without_a_place(make_model: MakeModel, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        plan_conversion(make_model(**settings), "f32", ["a"])


def test_sliding_window(make_model: MakeModel) -> None:
    with pytest.raises(ModelError, match="sliding_window = 16 below max_position_embeddings = 256"):
        plan_conversion(make_model("mistral", sliding_window=16), "f32", ["a"])


def test_unknown_architecture(make_model: MakeModel, tmp_path: Path) -> None:
    folder = make_model()
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "gpt_neox"}))
    with pytest.raises(ModelError, match="'gpt_neox' cannot be exported to GGUF; expected one of llama, mistral"):
        export(folder, tmp_path / "out")
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match=r"no tokenizer\.json"):
        export(folder, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_tokenizer_that_llama_cpp_has_no_regex_for(make_model: MakeModel, tmp_path: Path) -> None:
    folder = make_model("llama", "byte-level-prefix")
    with pytest.raises(ModelError, match="would cut text otherwise than this tokenizer; its nearest pre-tokenizer is"):
        export(folder, tmp_path / "out", GgufSettings("f32", 0.001))
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_nothing(make_model: MakeModel, tmp_path: Path) -> None:
    folder = make_model()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(WorkspaceError, match="No space left"):
            export(folder, tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_ours_stays(make_model: MakeModel, tmp_path: Path) -> None:
    out = tmp_path / "thesis"
    out.mkdir()
    (out / "chapter.tex").write_text("x")
    with pytest.raises(DataError, match="exists and is no export of seallm"):
        export(make_model(), out)
    assert (out / "chapter.tex").read_text() == "x"


def test_a_repaired_regex_of_gpt2_is_met_nearly(make_model: MakeModel) -> None:
    from seallm.vocab.base_tokenizer import load_bpe, parse_bpe
    from seallm.vocab.pretokenizer import repair

    base = load_bpe(make_model())
    document = repair(base.document)
    document["model"] = {**document["model"]}
    texts = [text for lines in check_texts().values() for text in lines[-12:]]
    extended = parse_bpe(_with_marks(document), "extended")
    found = pre_tokenizers.fit(extended, texts)
    assert found.name == "qwen35"
    assert found.different_share < 0.01
    by_gpt2 = pre_tokenizers.by_name("gpt-2")
    assert by_gpt2 is not None
    wanted = pre_tokenizers.encode_all(extended.tokenizer, texts)
    theirs = pre_tokenizers.encode_all(pre_tokenizers.as_llama_cpp(extended.document, by_gpt2), texts)
    assert pre_tokenizers.different_share(extended, wanted, theirs) > 10 * found.different_share


def _with_marks(document: dict[str, Any]) -> dict[str, Any]:
    """Merges that cross marks, as an extension learns them."""
    from seallm.vocab.base_tokenizer import byte_alphabet

    letters = byte_alphabet()
    known = dict(document["model"]["vocab"])
    merges = [tuple(pair) for pair in document["model"]["merges"]]
    free = iter(range(max(known.values()) + 100, 2**20))
    for word in ("อี", "ที่", "ကို", "ដី", "ທີ່", "\n\n"):
        spelled = [letters[byte] for byte in word.encode()]
        while len(spelled) > 1:
            pair = (spelled[0], spelled[1])
            if "".join(pair) not in known:
                known["".join(pair)] = next(free)
                merges.append(pair)
            spelled[:2] = ["".join(pair)]
    model = {**document["model"], "vocab": known, "merges": [list(pair) for pair in merges]}
    return {**document, "model": model}


def test_rope_factors_are_those_of_transformers(make_model: MakeModel) -> None:
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    conversion = plan_conversion(make_model("llama", "spm-first", rope_parameters=LLAMA3), "f32", ["a"])
    theirs, _ = ROPE_INIT_FUNCTIONS["llama3"](conversion.architecture.config, torch.device("cpu"))
    plain = 1 / (10_000.0 ** (torch.arange(0, 16, 2).float() / 16))
    factors = conversion.architecture.rope_factors()
    assert factors is not None
    torch.testing.assert_close(plain / factors, theirs)
