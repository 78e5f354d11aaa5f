import json
import shutil
from pathlib import Path

import huggingface_hub
import pytest
from tokenizers import Tokenizer, models, trainers

from seallm.base.errors import VocabError
from seallm.vocab.tokenizer_places import open_tokenizer, short_names
from tests.vocab.test_tiktoken_file import write as write_tiktoken
from tests.vocab.tiny import BASES, documents, sentencepiece_model


def test_the_same_tokenizer_by_its_folder_its_stage_and_its_file(tmp_path: Path) -> None:
    for place in ("plain", "stage/tokenizer", "base/model"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "tokenizer.json").write_text(BASES["byte-level"](), encoding="utf-8")
    ids = Tokenizer.from_str(BASES["byte-level"]()).encode("The end, ที่นี่").ids
    for place in ("plain", "stage", "stage/tokenizer", "base", "plain/tokenizer.json"):
        opened = open_tokenizer(tmp_path / place)
        assert opened.tokenizer.encode("The end, ที่นี่").ids == ids
        assert opened.bpe().kind == "byte-level"
        assert opened.sentencepiece is None


def test_a_sentencepiece_model_and_a_tiktoken_file(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.model").write_bytes(sentencepiece_model())
    for place in (tmp_path, tmp_path / "tokenizer.model"):
        opened = open_tokenizer(place)
        assert opened.bpe().kind == "sentencepiece"
        assert opened.sentencepiece == tmp_path / "tokenizer.model"
    assert open_tokenizer(write_tiktoken(tmp_path)).bpe().ignores_merges


def test_a_tokenizer_json_comes_before_the_model_beside_it(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.model").write_bytes(sentencepiece_model())
    (tmp_path / "tokenizer.json").write_text(BASES["sentencepiece"](), encoding="utf-8")
    opened = open_tokenizer(tmp_path)
    assert opened.path.name == "tokenizer.json"
    assert opened.sentencepiece == tmp_path / "tokenizer.model"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "it holds nothing"),
        ({"config.json": "{}"}, "it holds config.json"),
        ({"vocab.json": "{}", "merges.txt": ""}, r"it has vocab\.json, merges\.txt: load it with transformers'"),
        ({"tokenizer.json": "[1]"}, "is JSON, but not a tokenizer.json"),
        ({"tokenizer.json": '{"model": {"type": "Nonsense"}}'}, "cannot be loaded by the tokenizers library"),
    ],
)
def test_folders_without_a_fast_tokenizer(files: dict[str, str], message: str, tmp_path: Path) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(VocabError, match=message) as caught:
        open_tokenizer(tmp_path)
    assert "\n" not in str(caught.value)


def test_long_text_is_not_cut_off(tmp_path: Path) -> None:
    """Some folders carry the settings of a model with short sequences."""
    document = json.loads(BASES["byte-level"]())
    document["truncation"] = {"direction": "Right", "max_length": 8, "strategy": "LongestFirst", "stride": 0}
    document["padding"] = {"strategy": {"Fixed": 8}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0,
                           "pad_type_id": 0, "pad_token": "<|endoftext|>"}  # fmt: skip
    (tmp_path / "tokenizer.json").write_text(json.dumps(document), encoding="utf-8")
    opened = open_tokenizer(tmp_path)
    for tokenizer in (opened.tokenizer, opened.bpe().tokenizer):
        assert len(tokenizer.encode("one two three " * 20).ids) > 60
        assert len(tokenizer.encode("a").ids) == 1


def test_a_hub_that_cannot_be_reached_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(VocabError, match="There is no folder nobody/nothing, and the hub did not give it") as caught:
        open_tokenizer("nobody/nothing")
    assert "\n" not in str(caught.value)


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(VocabError, match="is neither a folder nor a file, and no hub id"):
        open_tokenizer(tmp_path / "a" / "b" / "c")


@pytest.mark.parametrize("kind", ["WordPiece", "Unigram"])
def test_kinds_without_merges_are_opened_but_not_extended(kind: str, tmp_path: Path) -> None:
    model, trainer = {
        "WordPiece": (
            models.WordPiece(unk_token="[UNK]"),
            trainers.WordPieceTrainer(vocab_size=300, show_progress=False),
        ),
        "Unigram": (models.Unigram(), trainers.UnigramTrainer(vocab_size=300, show_progress=False)),
    }[kind]
    tokenizer = Tokenizer(model)
    tokenizer.train_from_iterator([text[:2_000] for text in documents("en")[:3]], trainer)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    opened = open_tokenizer(tmp_path)
    assert opened.tokenizer.encode("the end").ids
    with pytest.raises(VocabError, match=f"holds a {kind} model with 0 merges"):
        opened.bpe()


def test_names_in_tables(tmp_path: Path) -> None:
    for place in ("a/base", "b/base", "c/other"):
        (tmp_path / place).mkdir(parents=True)
    shutil.copy(write_tiktoken(tmp_path), tmp_path / "c")
    places = [str(tmp_path / place) for place in ("a/base", "b/base", "c/other", "c/cl100k_base.tiktoken")]
    names = short_names([*places, "owner/name"])
    assert names == [places[0], places[1], "other", "cl100k_base", "owner/name"]
    assert json.dumps(names)
