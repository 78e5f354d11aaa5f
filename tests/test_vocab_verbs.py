"""`seallm vocab ...` as a user types it."""

import json
from pathlib import Path
from typing import Any

import pytest
from sentencepiece import SentencePieceProcessor
from transformers import AutoTokenizer
from typer.testing import CliRunner, Result

from seallm.base.errors import DataError, RecipeError, VocabError, WorkspaceError
from seallm.vocab import encoding_checks
from seallm.vocab_verbs import app
from tests.vocab.tiny import BASES, SAMPLE, sentencepiece_model, sentences, write_parallel

LANGUAGES = ("en", "th", "my", "id")


def run(*arguments: str) -> Result:
    """One call; our own errors come through, as `cli.main` turns them into a line."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base of each kind, and parallel sentences."""
    folder = tmp_path_factory.mktemp("vocab")
    write_parallel(folder / "parallel", LANGUAGES)
    (folder / "byte").mkdir()
    (folder / "byte" / "tokenizer.json").write_text(BASES["byte-level"](), encoding="utf-8")
    (folder / "byte" / "config.json").write_text(
        json.dumps({"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 20})
    )
    (folder / "piece").mkdir()
    (folder / "piece" / "tokenizer.model").write_bytes(sentencepiece_model())
    return folder


def options(place: Path, base: str) -> list[str]:
    return ["--base", str(place / base), "--corpus", str(SAMPLE), "--parallel", str(place / "parallel"),
            "--set", "megabytes_per_language=0.05"]  # fmt: skip


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def extended(place: Path) -> Path:
    out = place / "extended"
    result = run("extend", *options(place, "byte"), "--new-tokens", "300", "--out", str(out))
    assert "Written to" in result.stdout
    assert "8 of 8 claims hold" in result.stdout
    return out


def test_extend_writes_a_folder_that_hugging_face_loads(extended: Path) -> None:
    assert {path.name for path in extended.iterdir()} == {
        "tokenizer.json",
        "tokenizer_config.json",
        "certificate.json",
        "compression.json",
        "tokens_added.json",
        "manifest.json",
    }
    loaded = AutoTokenizer.from_pretrained(extended)
    assert len(loaded) == 600 + 300
    assert read(extended / "certificate.json")["languages"] == ["en", "id", "my", "th"]
    assert read(extended / "certificate.json")["model_rows"] == 960
    assert read(extended / "compression.json")["after"]["my"] < read(extended / "compression.json")["before"]["my"] / 2
    assert read(extended / "manifest.json")["settings"]["new_tokens"] == 300


def test_what_is_finished_is_not_done_again(place: Path, extended: Path) -> None:
    before = (extended / "manifest.json").stat().st_mtime_ns
    result = run("extend", *options(place, "byte"), "--new-tokens", "300", "--out", str(extended))
    assert "Already finished in" in result.stdout
    assert (extended / "manifest.json").stat().st_mtime_ns == before


def test_the_same_bytes_elsewhere(place: Path, extended: Path, tmp_path: Path) -> None:
    run("extend", *options(place, "byte"), "--new-tokens", "300", "--out", str(tmp_path / "again"))
    for name in ("tokenizer.json", "certificate.json", "compression.json", "tokens_added.json"):
        assert (tmp_path / "again" / name).read_bytes() == (extended / name).read_bytes(), name


def test_certify(place: Path, extended: Path) -> None:
    result = run("certify", str(extended), "--base", str(place / "byte"), "--parallel", str(place / "parallel"))
    assert result.stdout.count("yes") >= 9
    assert "every new token recorded" in result.stdout
    assert "NO" not in result.stdout


def test_certify_finds_what_was_broken_later(place: Path, extended: Path, tmp_path: Path) -> None:
    document = read(extended / "tokenizer.json")
    document["model"]["merges"].pop()
    (tmp_path / "tokenizer.json").write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(VocabError, match="every new token reachable: no text produces"):
        run("certify", str(tmp_path), "--base", str(place / "byte"), "--languages", "en,th")
    with pytest.raises(DataError, match=r"has no certificate\.json that names its languages"):
        run("certify", str(tmp_path), "--base", str(place / "byte"))


def test_a_failed_certificate_leaves_no_result(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding_checks, "MAX_CHANGED_SHARE", -1.0)
    with pytest.raises(VocabError, match=r"failed its certificate.*All figures are in .*certificate\.json") as caught:
        run("extend", *options(place, "byte"), "--new-tokens", "50", "--out", str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()
    assert not read(Path(str(caught.value).rpartition(" in ")[2]))["passed"]


def test_a_lone_sentencepiece_model(place: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = run("extend", *options(place, "piece"), "--new-tokens", "300", "--out", str(out))
    assert "9 of 9 claims hold" in result.stdout
    library = SentencePieceProcessor(model_file=str(out / "tokenizer.model"))
    loaded = AutoTokenizer.from_pretrained(out)
    assert (library.get_piece_size(), len(loaded), loaded.bos_token) == (1_000, 1_000, "<s>")
    text = "ภาษาไทย and the rest"
    assert library.encode(text) == loaded(text, add_special_tokens=False).input_ids
    result = run("certify", str(out), "--base", str(place / "piece" / "tokenizer.model"))
    assert "SentencePiece ids" in result.stdout


def test_sentences_without_halves_are_cut_and_that_is_said(place: Path, tmp_path: Path) -> None:
    (tmp_path / "parallel").mkdir()
    for code in ("en", "th"):
        (tmp_path / "parallel" / f"{code}.txt").write_text("\n".join(sentences("dev", code, 50)), encoding="utf-8")
    parallel = ["--parallel", str(tmp_path / "parallel")]
    result = run("extend", *options(place, "byte"), *parallel, "--new-tokens", "40", "--out", str(tmp_path / "out"))
    assert "has no halves: the last fifth of its sentences was kept for testing" in result.stdout
    assert read(tmp_path / "out" / "compression.json")["sentences"] == 10


def test_measure(place: Path, extended: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = run(
        "measure",
        str(place / "byte"),
        str(extended),
        "--parallel",
        str(place / "parallel"),
        "--paper",
        "--out",
        str(out),
    )
    found = read(out / "compression.json")
    assert found["sentences"] == 60
    assert found["reference"] == "en with byte"
    ratio = found["forms"]["canonical"]["extended"]["ratios"]["my"]
    assert ratio == read(extended / "compression.json")["after"]["my"]
    assert f"{ratio:.2f} / " in result.stdout
    assert "1.93" in result.stdout  # the paper's Burmese
    assert (out / "compression.png").stat().st_size > 10_000


def test_doctor(place: Path, tmp_path: Path) -> None:
    arguments = ["doctor", str(place / "byte"), "--parallel", str(place / "parallel")]
    result = run(*arguments, "--write", str(tmp_path / "repaired"))
    assert "A letters-only regex ends words" in result.stdout
    assert read(tmp_path / "repaired" / "doctor.json")["floors_repaired"]["my"] < 1
    again = run("doctor", str(tmp_path / "repaired"), *arguments[2:])
    assert "The regex admits combining marks" in again.stdout
    with pytest.raises(VocabError, match="needs no repair"):
        run("doctor", str(tmp_path / "repaired"), *arguments[2:], "--write", str(tmp_path / "twice"))
    nothing = run("doctor", str(place / "piece"), *arguments[2:])
    assert "Nothing is cut before merges" in nothing.stdout


def test_plan(place: Path, tmp_path: Path) -> None:
    out = tmp_path / "plan"
    result = run("plan", *options(place, "byte"), "--max-tokens", "400", "--step", "100", "--out", str(out))
    found = read(out / "plan.json")
    assert [row["new_tokens"] for row in found["rows"]] == [0, 100, 200, 300, 400]
    assert found["rows"][0]["ratios"]["en"] == 1.0
    assert found["rows"][-1]["mean"] < found["rows"][0]["mean"] / 2
    assert found["rows"][-1]["decode_cost"] < 1
    assert f"Stop at {found['stop_at']:,}" in result.stdout
    assert (out / "plan.png").stat().st_size > 10_000


def test_plan_with_more_tokens_than_there_are(place: Path) -> None:
    arguments = [*options(place, "byte")[:-1], "megabytes_per_language=0.004"]
    result = run("plan", *arguments, "--max-tokens", "20000", "--languages", "en,th")
    assert "fewer than the 20,000 asked for" in result.stdout


def test_a_language_that_the_base_already_covers(place: Path, tmp_path: Path) -> None:
    """A second extension over the same text finds less to gain; where nothing is left, that is an error."""
    first, second = tmp_path / "first", tmp_path / "second"
    arguments = [*options(place, "byte"), "--languages", "en,th", "--new-tokens", "250"]
    run("extend", *arguments, "--out", str(first))
    run("extend", "--base", str(first), *arguments[2:], "--out", str(second))
    found = [read(folder / "compression.json") for folder in (first, second)]
    assert found[1]["before"]["th"] == found[0]["after"]["th"]
    gains = [1 - figures["after"]["th"] / figures["before"]["th"] for figures in found]
    assert 0 <= gains[1] < gains[0] / 2
    assert read(second / "certificate.json")["passed"]
    with pytest.raises(VocabError, match=r"vocab\.new_tokens = 250, but the corpus gives only \d+"):
        run(
            "extend",
            *options(place, "byte"),
            "--languages",
            "en,id",
            "--new-tokens",
            "250",
            "--out",
            str(tmp_path / "id"),
        )


def test_bad_input_is_one_clear_line(place: Path, tmp_path: Path) -> None:
    out = ["--out", str(tmp_path / "out")]
    with pytest.raises(RecipeError, match=r"unknown key `vocab\.parity`; did you mean"):
        run("extend", *options(place, "byte"), "--set", "parity=3", *out)
    with pytest.raises(VocabError, match="is neither a folder nor a file"):
        run("extend", "--base", str(tmp_path / "no" / "such"), *options(place, "byte")[2:], *out)
    with pytest.raises(DataError, match="No file at"):
        run("extend", *options(place, "byte")[:3], str(tmp_path / "nothing"), *options(place, "byte")[4:], *out)
    with pytest.raises(RecipeError, match="Unknown language 'xx'"):
        run("extend", *options(place, "byte"), "--languages", "en,xx", *out)
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "en.txt").write_text("a\n")
    with pytest.raises(DataError, match="needs the base language and one more"):
        run("extend", *options(place, "byte")[:5], str(tmp_path / "one"), *options(place, "byte")[6:], *out)
    assert not (tmp_path / "out").exists()
    with pytest.raises(WorkspaceError, match=r"one is there and was not written by seallm .*it would be replaced"):
        run("extend", *options(place, "byte"), "--out", str(tmp_path / "one"))
    assert (tmp_path / "one" / "en.txt").is_file()


@pytest.mark.parametrize("verb", ["extend", "certify", "measure", "doctor", "plan", "probe"])
def test_every_verb_has_an_example(verb: str) -> None:
    assert f"Example: seallm vocab {verb}" in run(verb, "--help").stdout
