import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer
from transformers import AutoTokenizer

from seallm.vocab.base_tokenizer import load_bpe, parse_bpe
from seallm.vocab.extend import extended_document, write_tokenizer
from seallm.vocab.pretokenizer import repair
from tests.vocab.tiny import BASES, write_base


def extend(base_folder: Path, out: Path) -> None:
    base = load_bpe(base_folder)
    first = base.next_id
    if base.kind == "sentencepiece":
        symbols, merges = {"ก": first, "า": first + 1}, [("ก", "า", first + 2)]
    else:
        symbols, merges = {}, [("à", "¸", first), ("à¸", "ģ", first + 1)]
    write_tokenizer(base_folder, extended_document(base, symbols, merges), out)


@pytest.mark.parametrize("name", BASES)
def test_no_old_id_moves_and_new_ones_come_behind(name: str, tmp_path: Path) -> None:
    base = write_base(tmp_path / "base", BASES[name]()) / "model"
    extend(base, tmp_path / "out")
    before = Tokenizer.from_file(str(base / "tokenizer.json"))
    after = Tokenizer.from_file(str(tmp_path / "out" / "tokenizer.json"))
    old, new = before.get_vocab(with_added_tokens=True), after.get_vocab(with_added_tokens=True)
    assert {token: new[token] for token in old} == old
    assert sorted(set(new.values()) - set(old.values())) == list(range(len(old), len(new)))
    assert after.encode("ก", add_special_tokens=False).ids[-1] >= len(old)
    assert before.encode("the end").ids == after.encode("the end").ids


def test_added_tokens_behind_the_vocabulary_would_move_without_care() -> None:
    """Why extended_document writes them into the vocabulary: the library numbers them anew behind the model's own."""
    document = json.loads(BASES["byte-level with specials behind"]())
    base = parse_bpe(document, "base")
    naive = json.loads(json.dumps(document))
    naive["model"]["vocab"]["à¸"] = base.next_id
    naive["model"]["merges"].append(["à", "¸"])
    assert Tokenizer.from_str(json.dumps(naive)).token_to_id("<|begin|>") != base.added_tokens["<|begin|>"]
    careful = Tokenizer.from_str(json.dumps(extended_document(base, {}, [("à", "¸", base.next_id)])))
    assert {t: careful.token_to_id(t) for t in base.added_tokens} == base.added_tokens


@pytest.mark.parametrize("name", BASES)
def test_transformers_loads_it_with_the_same_ids(name: str, tmp_path: Path) -> None:
    document = repair(json.loads(BASES[name]()))
    base = write_base(tmp_path / "base", json.dumps(document)) / "model"
    special = "</s>" if name == "sentencepiece" else next(iter(parse_bpe(document, name).added_tokens))
    # a class that would rebuild the pre-tokenizer from its own code
    config = {"tokenizer_class": "LlamaTokenizerFast", "eos_token": special, "model_max_length": 77}
    (base / "tokenizer_config.json").write_text(json.dumps(config))
    (base / "chat_template.jinja").write_text("{{ messages }}")
    (base / "tokenizer.model").write_bytes(b"stale")
    extend(base, tmp_path / "out")
    loaded = AutoTokenizer.from_pretrained(tmp_path / "out")
    fast = Tokenizer.from_file(str(tmp_path / "out" / "tokenizer.json"))
    for text in ("The weather, 2023.", "กากา ကြက် ក្រុម", f"x{special}y"):
        assert loaded(text, add_special_tokens=False).input_ids == fast.encode(text, add_special_tokens=False).ids
        ids = loaded(text, add_special_tokens=False).input_ids
        assert loaded.decode(ids) == fast.decode(ids, skip_special_tokens=False)
    assert (loaded.eos_token, loaded.model_max_length, loaded.chat_template) == (special, 77, "{{ messages }}")
    assert not (tmp_path / "out" / "tokenizer.model").exists()


def test_the_same_bytes_again(tmp_path: Path) -> None:
    base = write_base(tmp_path / "base", BASES["sentencepiece"]()) / "model"
    for out in ("a", "b"):
        extend(base, tmp_path / out)
    files = [{p.name: p.read_bytes() for p in (tmp_path / out).iterdir()} for out in ("a", "b")]
    assert files[0] == files[1]
    assert set(files[0]) == {"tokenizer.json", "tokenizer_config.json"}
