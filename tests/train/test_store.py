import dataclasses
import itertools
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from seallm.base.errors import DataError
from seallm.base.runtime import Runtime
from seallm.model.plain_text import PlainText
from seallm.train import store as store_module
from seallm.train.segments import IGNORED
from seallm.train.store import TokenizerMark, TokenStore, build_store, is_built, tokenizer_mark
from tests.folders import digests
from tests.train.conftest import ENGLISH, THAI, varied, write_documents

QUIET = Runtime(show_progress=False)
TEXTS = {"en.high": [*varied(ENGLISH, 9), "A page that quotes </s> and <s>."], "th.low": varied(THAI, 5)}


@pytest.fixture
def mark(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> TokenizerMark:
    tokenizer.save_pretrained(str(tmp_path / "tokenizer"))
    return tokenizer_mark(tmp_path / "tokenizer", tokenizer)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    paths = {name: tmp_path / f"{name}.parquet" for name in TEXTS}
    for name, path in paths.items():
        write_documents(path, TEXTS[name], name[:2])
    return paths


def test_documents_are_start_text_end_in_order(
    tmp_path: Path, mark: TokenizerMark, files: dict[str, Path], tokenizer: PreTrainedTokenizerFast
) -> None:
    store = build_store(tmp_path / "tokens", files, mark, QUIET)
    plain = PlainText(tokenizer)
    for name, texts in TEXTS.items():
        offsets = store.offsets[name]
        assert len(offsets) == len(texts) + 1
        for number, text in enumerate(texts):
            document = store.tokens[name][offsets[number] : offsets[number + 1]].tolist()
            assert document == [tokenizer.bos_token_id, *plain.encode(text), tokenizer.eos_token_id]
            assert document.count(tokenizer.eos_token_id) == 1
    assert store.tokens["en.high"].dtype == np.uint16
    assert store.lengths("th.low").sum() == len(store.tokens["th.low"])


def test_a_base_without_beginning_starts_documents_with_the_end(
    tmp_path: Path, files: dict[str, Path], tokenizer: PreTrainedTokenizerFast
) -> None:
    folder = tmp_path / "no-beginning"
    other = PreTrainedTokenizerFast(tokenizer_object=tokenizer.backend_tokenizer, eos_token="</s>")
    other.save_pretrained(str(folder))
    store = build_store(tmp_path / "tokens", files, tokenizer_mark(folder, other), QUIET)
    assert store.tokens["th.low"][0] == store.tokens["th.low"][-1] == other.eos_token_id


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
@given(st.lists(st.integers(1, 40), max_size=5))
def test_cut_documents_predict_every_token_but_the_first_once(
    tmp_path: Path, mark: TokenizerMark, files: dict[str, Path], cuts: list[int]
) -> None:
    store = build_store(tmp_path / "tokens", files, mark, QUIET)
    length = int(store.lengths("en.high")[3])
    edges = sorted({0, length, *(c for c in cuts if c < length)})
    parts = [store.segment("en.high", 3, a, b) for a, b in itertools.pairwise(edges)]
    first = int(store.offsets["en.high"][3])
    whole = store.tokens["en.high"][first : first + length].tolist()
    assert [i for part in parts for i in part.ids.tolist()] == whole
    assert [i for part in parts for i in part.targets.tolist()] == [*whole[1:], IGNORED]
    assert {part.label for part in parts} == {"en"}


def test_workers_and_shards_do_not_change_a_byte(
    tmp_path: Path, mark: TokenizerMark, files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    build_store(tmp_path / "one", files, mark, QUIET)
    build_store(tmp_path / "two", files, mark, Runtime(workers=2, show_progress=False))
    monkeypatch.setattr(store_module, "ENCODE_DOCUMENTS", 2)
    build_store(tmp_path / "small", files, mark, QUIET)
    assert digests(tmp_path / "one") == digests(tmp_path / "two") == digests(tmp_path / "small")


def test_many_row_groups_are_joined_in_order(
    tmp_path: Path, mark: TokenizerMark, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pyarrow.parquet as pq

    write_documents(tmp_path / "whole.parquet", varied(ENGLISH, 23), "en")
    pq.write_table(pq.read_table(tmp_path / "whole.parquet"), tmp_path / "groups.parquet", row_group_size=3)
    whole = build_store(tmp_path / "whole", {"en.high": tmp_path / "whole.parquet"}, mark, QUIET)
    monkeypatch.setattr(store_module, "SHARD_ROWS", 6)
    groups = build_store(tmp_path / "groups", {"en.high": tmp_path / "groups.parquet"}, mark, QUIET)
    assert np.array_equal(whole.tokens["en.high"], groups.tokens["en.high"])
    assert np.array_equal(whole.offsets["en.high"], groups.offsets["en.high"])


def test_a_killed_build_keeps_its_finished_shards(
    tmp_path: Path, mark: TokenizerMark, files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    build_store(tmp_path / "calm", files, mark, QUIET)
    real, made = store_module._tokenise, []

    def dies_at_the_second(shard: store_module._Shard, result: Path) -> None:
        if made:
            raise KeyboardInterrupt
        made.append(result)
        real(shard, result)

    monkeypatch.setattr(store_module, "_tokenise", dies_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        build_store(tmp_path / "tokens", files, mark, QUIET)
    assert made[0].is_file()
    monkeypatch.setattr(store_module, "_tokenise", real)
    stamp = made[0].stat().st_mtime_ns
    assert not is_built(tmp_path / "tokens", files, mark)
    shutil.copytree(tmp_path / "tokens", tmp_path / "copy")
    build_store(tmp_path / "tokens", files, mark, QUIET)
    assert next((tmp_path / "copy").rglob("*.npy")).stat().st_mtime_ns == stamp
    assert digests(tmp_path / "tokens") == digests(tmp_path / "calm")


def test_a_finished_store_is_opened_not_built(tmp_path: Path, mark: TokenizerMark, files: dict[str, Path]) -> None:
    build_store(tmp_path / "tokens", files, mark, QUIET)
    stamps = {p: p.stat().st_mtime_ns for p in (tmp_path / "tokens").iterdir()}
    build_store(tmp_path / "tokens", files, mark, QUIET)
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "tokens").iterdir()} == stamps


def test_another_tokenizer_or_text_makes_another_store(
    tmp_path: Path, mark: TokenizerMark, files: dict[str, Path]
) -> None:
    build_store(tmp_path / "tokens", files, mark, QUIET)
    other = dataclasses.replace(mark, fingerprint="0" * 64)
    assert not is_built(tmp_path / "tokens", files, other)
    with pytest.raises(DataError, match="another tokenizer"):
        TokenStore(tmp_path / "tokens", files, other)
    write_documents(files["th.low"], ["ใหม่"], "th")
    assert not is_built(tmp_path / "tokens", files, mark)
    assert len(build_store(tmp_path / "tokens", files, mark, QUIET).offsets["th.low"]) == 2


def test_an_empty_file_is_an_empty_source(tmp_path: Path, mark: TokenizerMark) -> None:
    write_documents(tmp_path / "none.parquet", [], "lo")
    store = build_store(tmp_path / "tokens", {"lo.high": tmp_path / "none.parquet"}, mark, QUIET)
    assert store.tokens["lo.high"].shape == (0,)
    assert store.lengths("lo.high").tolist() == []


@pytest.mark.parametrize("damage", [b"", b"half"])
def test_damage_is_named(tmp_path: Path, mark: TokenizerMark, files: dict[str, Path], damage: bytes) -> None:
    build_store(tmp_path / "tokens", files, mark, QUIET)
    (tmp_path / "tokens" / "th.low.tokens.npy").write_bytes(damage)
    with pytest.raises(DataError, match=r"th\.low"):
        TokenStore(tmp_path / "tokens", files, mark)
    files["en.high"].write_bytes(b"not parquet")
    with pytest.raises(DataError, match=r"en\.high\.parquet"):
        build_store(tmp_path / "fresh", files, mark, QUIET)


def test_documents_keep_their_ids(tmp_path: Path, mark: TokenizerMark, files: dict[str, Path]) -> None:
    store = build_store(tmp_path / "tokens", files, mark, QUIET)
    assert [store.document_id("th.low", n) for n in range(5)] == [f"th-{n}" for n in range(5)]


def test_a_store_with_more_sources_serves_those_that_are_asked_for(
    tmp_path: Path, mark: TokenizerMark, files: dict[str, Path]
) -> None:
    build_store(tmp_path / "tokens", files, mark, QUIET)
    some = {"th.low": files["th.low"]}
    assert is_built(tmp_path / "tokens", some, mark)
    assert TokenStore(tmp_path / "tokens", some, mark).tokens.keys() == {"th.low"}


def test_a_parquet_file_that_vanishes_is_named_and_nothing_is_overwritten(
    tmp_path: Path, mark: TokenizerMark, files: dict[str, Path]
) -> None:
    build_store(tmp_path / "tokens", files, mark, QUIET)
    before = digests(tmp_path / "tokens")
    files["en.high"].unlink()
    with pytest.raises(DataError, match=r"en\.high\.parquet cannot be read"):
        build_store(tmp_path / "tokens", files, mark, QUIET)
    assert digests(tmp_path / "tokens") == before


def test_a_parquet_file_cut_short_inside_is_named(tmp_path: Path, mark: TokenizerMark, files: dict[str, Path]) -> None:
    """Its footer is whole, a column is not."""
    content = bytearray(files["en.high"].read_bytes())
    content[4:200] = bytes(196)
    files["en.high"].write_bytes(content)
    with pytest.raises(DataError, match=r"en\.high\.parquet cannot be read to its end.*what was tokenised is kept"):
        build_store(tmp_path / "tokens", files, mark, QUIET)
