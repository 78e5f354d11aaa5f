"""An extended SentencePiece base: three encoders, one answer."""

import json
from pathlib import Path

import pytest
from sentencepiece import SentencePieceProcessor
from tokenizers import Tokenizer

from seallm.base.errors import VocabError
from seallm.recipe_vocab import Vocab
from seallm.vocab import stage
from seallm.vocab.base_tokenizer import parse_bpe
from seallm.vocab.certificate_texts import random_texts
from seallm.vocab.encoding_checks import check_sentencepiece
from seallm.vocab.extend import extended_document
from seallm.vocab.sentencepiece_extension import model_file_of, with_all_splits, write_model
from seallm.vocab.sentencepiece_file import read_model, to_document
from tests.vocab.tiny import documents, make_context, sentencepiece_model, sentences

LANGUAGES = ("en", "th", "my", "vi", "id")


def base_folder(folder: Path) -> Path:
    """A base as Mistral-7B has it: both files."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.model").write_bytes(sentencepiece_model())
    document = to_document(read_model(folder / "tokenizer.model"))
    (folder / "tokenizer.json").write_text(json.dumps(document), encoding="utf-8")
    return folder


def test_the_stage_writes_both_files_with_the_same_ids(tmp_path: Path) -> None:
    context = make_context(tmp_path, LANGUAGES, "sentencepiece")
    base_folder(context.inputs["base"] / "model")
    stage.run(Vocab(parallel="parallel", new_tokens=600), context)
    fast = Tokenizer.from_file(str(context.out / "tokenizer" / "tokenizer.json"))
    library = SentencePieceProcessor(model_file=str(context.out / "tokenizer" / "tokenizer.model"))
    assert library.get_piece_size() == fast.get_vocab_size() == 1_300
    texts = [s for code in LANGUAGES for s in sentences("test", code, 100)]
    texts += [text[:1_000] for code in LANGUAGES for text in documents(code)]
    texts += random_texts(("latin", "thai", "myanmar"), 2_000, seed=5)
    assert [e.ids for e in fast.encode_batch_fast(texts, add_special_tokens=False)] == library.encode(texts)
    shown = json.loads((context.out / "certificate.json").read_text(encoding="utf-8"))
    check = shown["checks"][-1]
    assert check["claim"] == "fast ids == SentencePiece ids"
    assert (check["passed"], check["figures"]["different"], check["figures"]["pieces"]) == (True, 0, 1_300)
    assert check["figures"]["texts"] > 1_000


def test_each_new_token_gets_every_merge_that_spells_it(tmp_path: Path) -> None:
    base = parse_bpe(json.loads((base_folder(tmp_path) / "tokenizer.json").read_text(encoding="utf-8")), "base")
    first = base.next_id
    symbols = {"ก": first, "า": first + 1, "น": first + 2}
    merges = [("ก", "า", first + 3), ("า", "น", first + 4), ("กา", "น", first + 5)]
    closed = with_all_splits(extended_document(base, symbols, merges), base)
    assert closed["model"]["merges"][len(base.merges) :] == [["ก", "า"], ["า", "น"], ["กา", "น"], ["ก", "าน"]]


def test_tokens_that_the_base_added_behind_its_vocabulary(tmp_path: Path) -> None:
    folder = base_folder(tmp_path)
    document = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    added = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    document["added_tokens"] += [
        {"id": 700, "content": "<pad>", "special": True, **added},
        {"id": 703, "content": "<tool>", "special": False, **added},
    ]
    base = parse_bpe(document, "base")
    extended = parse_bpe(extended_document(base, {"ก": 704}, []), "extended")
    write_model(folder / "tokenizer.model", base, extended, tmp_path / "new.model")
    library = SentencePieceProcessor(model_file=str(tmp_path / "new.model"))
    assert [library.piece_to_id(piece) for piece in ("<pad>", "<tool>", "ก")] == [700, 703, 704]
    assert library.is_control(700)
    assert library.is_unused(701)
    # behind an added token a tokenizer.json with a prepended space writes another one, SentencePiece does not
    assert library.encode("the end <tool>") == extended.tokenizer.encode("the end <tool>", add_special_tokens=False).ids


def test_two_files_of_a_base_that_disagree(tmp_path: Path) -> None:
    folder = base_folder(tmp_path)
    (folder / "tokenizer.model").write_bytes(sentencepiece_model("bpe", 720))
    base = parse_bpe(json.loads((folder / "tokenizer.json").read_text(encoding="utf-8")), "tokenizer.json")
    with pytest.raises(
        VocabError, match=r"gives .* the id \d+, and tokenizer\.json .*Remove the file that is out of date"
    ):
        model_file_of(base, folder)


def test_a_byte_level_base_has_no_sentencepiece_model(tmp_path: Path) -> None:
    """Llama-3 keeps a file of another format under this name."""
    context = make_context(tmp_path, ("en", "id"))
    folder = context.inputs["base"] / "model"
    (folder / "tokenizer.model").write_text("IQ== 0\n")
    base = parse_bpe(json.loads((folder / "tokenizer.json").read_text(encoding="utf-8")), "base")
    assert model_file_of(base, folder) is None
    stage.run(Vocab(parallel="parallel", new_tokens=12), context)
    assert not (context.out / "tokenizer" / "tokenizer.model").exists()


def test_ids_that_sentencepiece_does_not_give_are_found(tmp_path: Path) -> None:
    folder = base_folder(tmp_path)
    base = parse_bpe(json.loads((folder / "tokenizer.json").read_text(encoding="utf-8")), "base")
    symbols = {"ก": 700, "า": 701}
    honest = parse_bpe(extended_document(base, symbols, [("ก", "า", 702)]), "honest")
    write_model(folder / "tokenizer.model", base, honest, tmp_path / "new.model")
    files = (folder / "tokenizer.model", tmp_path / "new.model")
    assert check_sentencepiece(base, honest, files, ["กา", "the end"]).offence is None
    lying = parse_bpe(extended_document(base, {**symbols, "กา": 702}, []), "lying")
    check = check_sentencepiece(base, lying, files, ["กา", "the end"])
    assert check.offence == "'กา' is encoded in another way"
    longer = parse_bpe(extended_document(base, {**symbols, "น": 703}, [("ก", "า", 702)]), "longer")
    assert check_sentencepiece(base, longer, files, ["the end"]).offence == (
        "it has 703 pieces, tokenizer.json ids up to 703"
    )
