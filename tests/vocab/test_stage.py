import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer

from seallm.base.artifacts import StageContext
from seallm.base.errors import DataError, VocabError
from seallm.recipe_vocab import Vocab
from seallm.vocab import encoding_checks, stage
from tests.vocab.tiny import BASES, documents, make_context, write_corpus

LANGUAGES = ("en", "th", "my", "id")
SETTINGS = Vocab(parallel="parallel", new_tokens=250)


def outputs(context: StageContext) -> dict[str, bytes]:
    return {str(p.relative_to(context.out)): p.read_bytes() for p in sorted(context.out.rglob("*")) if p.is_file()}


def read(context: StageContext, name: str) -> Any:
    return json.loads((context.out / name).read_text(encoding="utf-8"))


@pytest.mark.parametrize("base", BASES)
def test_the_whole_stage(base: str, tmp_path: Path) -> None:
    context = make_context(tmp_path, LANGUAGES, base)
    stage.run(SETTINGS, context)
    before = Tokenizer.from_file(str(context.inputs["base"] / "model" / "tokenizer.json"))
    after = Tokenizer.from_file(str(context.out / "tokenizer" / "tokenizer.json"))
    assert after.get_vocab_size() == before.get_vocab_size() + SETTINGS.new_tokens

    shown = read(context, "certificate.json")
    assert shown["passed"]
    assert all(check["passed"] for check in shown["checks"])
    assert shown["pre_tokenizer"]["repaired"] == base.startswith("byte-level")
    if base.startswith("byte-level"):
        # marks no longer end words: the floor falls below English for both scripts without spaces
        floors = shown["pre_tokenizer"]["pieces_before"]["my"], shown["pre_tokenizer"]["pieces_after"]["my"]
        assert floors[0] > 3 > 1 > floors[1]

    ratios = read(context, "compression.json")
    assert ratios["reference"] == "en with the base tokenizer"
    assert ratios["after"]["my"] < ratios["before"]["my"] / 2
    assert ratios["after"]["th"] < ratios["before"]["th"] / 2
    assert ratios["after"]["id"] < ratios["before"]["id"]
    assert ratios["english_tokens_after"] <= ratios["english_tokens_before"]
    lines = (tmp_path / "parallel" / "test.my.txt").read_text(encoding="utf-8").removesuffix("\n").split("\n")
    tokens = sum(len(after.encode(line, add_special_tokens=False).ids) for line in lines)
    assert ratios["tokens_after"]["my"] == tokens
    assert ratios["after"]["my"] == round(tokens / ratios["english_tokens_before"], 4)

    added = read(context, "tokens_added.json")
    assert sum(added["by_language"].values()) == SETTINGS.new_tokens == len(added["tokens"])
    assert all(after.token_to_id(row["token"]) == row["id"] for row in added["tokens"])
    assert context.counts["by_language"] == added["by_language"] == shown["by_language"]
    assert set(context.timings) == {"learn_seconds", "certify_seconds"}


def test_the_same_bytes_again_also_over_what_a_killed_run_left(tmp_path: Path) -> None:
    first = make_context(tmp_path / "a", LANGUAGES)
    second = make_context(tmp_path / "b", LANGUAGES)
    (second.out / "tokenizer").mkdir()
    (second.out / "tokenizer" / "tokenizer.json").write_text("half")
    stage.run(SETTINGS, first)
    stage.run(SETTINGS, second)
    assert outputs(first) == outputs(second)
    assert set(outputs(first)) == {
        "certificate.json",
        "compression.json",
        "tokens_added.json",
        "tokenizer/tokenizer.json",
        "tokenizer/tokenizer_config.json",
    }


def test_a_base_that_needs_no_repair_keeps_its_pre_tokenizer(tmp_path: Path) -> None:
    """Languages without combining marks."""
    context = make_context(tmp_path, ("en", "id", "ms"))
    stage.run(Vocab(parallel="parallel", new_tokens=12), context)
    before = json.loads((context.inputs["base"] / "model" / "tokenizer.json").read_text())
    assert read(context, "tokenizer/tokenizer.json")["pre_tokenizer"] == before["pre_tokenizer"]
    assert not read(context, "certificate.json")["pre_tokenizer"]["repaired"]


def test_more_tokens_than_merges_exist(tmp_path: Path) -> None:
    context = make_context(tmp_path, ("en", "id"))
    with pytest.raises(
        VocabError, match=r"vocab\.new_tokens = 9000, but the corpus gives only (\d+) .* Lower"
    ) as caught:
        stage.run(Vocab(parallel="parallel", new_tokens=9_000), context)
    assert "\n" not in str(caught.value)
    assert not (context.out / "tokenizer").exists()


def test_fewer_tokens_than_missing_characters(tmp_path: Path) -> None:
    context = make_context(tmp_path, ("en", "zh"), "sentencepiece")
    with pytest.raises(VocabError, match=r"new_tokens = 5, but \d+ characters of the languages are missing"):
        stage.run(Vocab(parallel="parallel", new_tokens=5), context)


def test_a_corpus_without_a_language(tmp_path: Path) -> None:
    context = make_context(tmp_path, ("en", "id", "lo"))
    corpus = write_corpus(tmp_path / "other", ("en", "id"))
    without = dataclasses.replace(context, inputs={**context.inputs, "corpus": corpus})
    with pytest.raises(DataError, match=r"The corpus has no text in 'lo'"):
        stage.run(SETTINGS, without)


def test_parallel_files_of_unequal_length(tmp_path: Path) -> None:
    context = make_context(tmp_path, ("en", "id"))
    with (tmp_path / "parallel" / "test.id.txt").open("a") as file:
        file.write("satu lagi\n")
    with pytest.raises(DataError, match=r"test\.id\.txt has 61 lines and test\.en\.txt has 60"):
        stage.run(SETTINGS, context)


def test_a_base_without_tokenizer(tmp_path: Path) -> None:
    context = make_context(tmp_path, ("en", "id"))
    (context.inputs["base"] / "model" / "tokenizer.json").unlink()
    with pytest.raises(VocabError, match=r"has no tokenizer\.json \(found: nothing\)"):
        stage.run(SETTINGS, context)


def test_only_the_base_language(tmp_path: Path) -> None:
    context = make_context(tmp_path, ("en",))
    with pytest.raises(VocabError, match=r"only language is 'en'"):
        stage.run(SETTINGS, context)


def test_a_failed_certificate_stops_the_stage_and_stays_to_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoding_checks, "MAX_CHANGED_SHARE", -1.0)
    context = make_context(tmp_path, ("en", "th"))
    with pytest.raises(VocabError, match=r"failed its certificate. base language preserved: .* of its tokens changed"):
        stage.run(Vocab(parallel="parallel", new_tokens=50), context)
    assert not read(context, "certificate.json")["passed"]


@pytest.mark.parametrize("method", ["frequency", "target"])
def test_the_other_methods(method: str, tmp_path: Path) -> None:
    """The target file's path starts at the recipe's folder, as all paths do."""
    context = make_context(tmp_path, LANGUAGES, "sentencepiece")
    chosen: dict[str, Any] = {"method": method, "new_tokens": 250, "max_tokens": {"my": 90}}
    if method == "target":
        words = {word for code in LANGUAGES[1:] for text in documents(code, 9_000) for word in text.split()}
        (tmp_path / "target.txt").write_text("\n".join(f"▁{word}" for word in sorted(words)), encoding="utf-8")
        chosen["target_vocabulary"] = "target.txt"
    stage.run(Vocab(parallel="parallel", **chosen), context)
    assert read(context, "certificate.json")["passed"]
    added = read(context, "tokens_added.json")
    assert len(added["tokens"]) == 250
    assert added["by_language"]["my"] <= 90
