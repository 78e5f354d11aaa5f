"""The text of every step of pre-training: mixtures, caps, replays, decisions, and that readers and restarts agree."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from transformers import PreTrainedTokenizerFast

from seallm.base.errors import DataError
from seallm.base.runtime import Runtime
from seallm.recipe_training import Dynamic, Mixture, Pretrain
from seallm.train.controller import Measured
from seallm.train.curriculum import Curriculum
from seallm.train.segments import IGNORED
from seallm.train.sentence_pairs import SOURCE, write_pair_documents
from seallm.train.store import TokenStore, build_store, tokenizer_mark
from tests.train.conftest import ENGLISH, LAO, THAI, rows_of, varied, write_documents

START = {"en": 2.0, "th": 4.0, "lo": 4.0}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, tokenizer: PreTrainedTokenizerFast) -> TokenStore:
    folder = tmp_path_factory.mktemp("store")
    texts = {
        "en.high": varied(ENGLISH, 60),
        "en.low": varied(ENGLISH, 30),
        "th.high": varied(THAI, 40),
        "th.low": varied(THAI, 40),
        "lo.high": varied(LAO, 6),
    }
    files = {name: folder / f"{name}.parquet" for name in texts}
    for name, path in files.items():
        write_documents(path, texts[name], name[:2])
    for code, lines in (("en", ENGLISH), ("th", [*THAI, THAI[0]])):
        (folder / f"dev.{code}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    write_pair_documents(folder, ("en", "th", "lo"), folder / "pairs.parquet")
    tokenizer.save_pretrained(str(folder / "tokenizer"))
    mark = tokenizer_mark(folder / "tokenizer", tokenizer)
    files[SOURCE] = folder / "pairs.parquet"
    return build_store(folder / "tokens", files, mark, Runtime(show_progress=False))


def make(store: TokenStore, folder: Path, *mixtures: dict[str, Any], **settings: Any) -> Curriculum:
    parts = [Mixture(**({"name": str(n), "tiers": ["high"]} | values)) for n, values in enumerate(mixtures)]
    values = {"sequence_tokens": 64, "batch_tokens": 512, "mixtures": parts, "evaluate_every_steps": 5}
    return Curriculum(Pretrain(**(values | settings)), store, ("en", "th", "lo"), 3, folder)


def sources_of(curriculum: Curriculum, number: int) -> Counter[str]:
    """Tokens of each source in a whole mixture."""
    counts: Counter[str] = Counter()
    for step in range(curriculum.steps[number]):
        rows, numbers = curriculum.rows(number, step)
        for n in numbers:
            for piece in rows.stream.row(n):
                counts[rows.names[piece.source]] += piece.stop - piece.start
    return counts


def documents_of(curriculum: Curriculum, number: int, source: str) -> Counter[int]:
    counts: Counter[int] = Counter()
    for step in range(curriculum.steps[number]):
        rows, numbers = curriculum.rows(number, step)
        for n in numbers:
            counts.update(p.document for p in rows.stream.row(n) if rows.names[p.source] == source)
    return counts


def test_tiers_and_fixed_shares(store: TokenStore, tmp_path: Path) -> None:
    curriculum = make(store, tmp_path, {"tiers": ["low"], "tokens": 5_000}, {"tokens": 20_000, "shares": {"th": 0.6}})
    assert sources_of(curriculum, 0).keys() == {"en.low", "th.low"}
    counts = sources_of(curriculum, 1)
    shares = {name: n / counts.total() for name, n in counts.items()}
    assert shares == pytest.approx({"en.high": 0.25, "th.high": 0.6, "lo.high": 0.15}, abs=0.01)
    summary = curriculum.summary(1)
    assert {name: row["share"] for name, row in summary.items()} == pytest.approx(shares, abs=1e-3)
    assert summary["lo.high"]["epochs"] == pytest.approx(counts["lo.high"] / store.lengths("lo.high").sum(), rel=0.01)


def test_epochs_count_passes_over_the_first_tier(store: TokenStore, tmp_path: Path) -> None:
    wish = {"temperature": 1.0, "base_language_share": 0.5}
    curriculum = make(store, tmp_path, {"epochs": 2.0, "tiers": ["high", "low"], **wish})
    fed = sum(n for name, n in sources_of(curriculum, 0).items() if name.endswith("high"))
    whole = sum(int(store.lengths(name).sum()) for name in ("en.high", "th.high", "lo.high"))
    assert fed / whole == pytest.approx(2.0, rel=0.03)


@pytest.mark.parametrize("second", [{}, {"replay": True}, {"replay": False}])
def test_a_replay_feeds_just_what_was_fed(store: TokenStore, tmp_path: Path, second: dict[str, Any]) -> None:
    curriculum = make(store, tmp_path, {"tokens": 2_000}, {"tokens": 6_000, **second})
    first = documents_of(curriculum, 0, "en.high")
    again = documents_of(curriculum, 1, "en.high")
    if second.get("replay", True):
        assert set(again) == set(first)
        assert len(first) < 60
    else:
        assert not set(again) <= set(first)


def test_a_replay_of_nothing_is_an_error(store: TokenStore, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No documents to train on in 'again'"):
        make(store, tmp_path, {"name": "again", "tokens": 1_000, "replay": True})


def test_no_source_is_fed_more_often_than_the_cap(store: TokenStore, tmp_path: Path) -> None:
    lao = {"shares": {"lo": 0.4}}
    mixtures = [{"tokens": 20_000, "tiers": ["high", "low"], **lao}, {"tokens": 10_000, "tiers": ["high"], **lao}]
    free, capped = (make(store, tmp_path, *mixtures, **cap) for cap in ({}, {"max_epochs": 3.0}))
    tokens = {name: int(store.lengths(name).sum()) for name in store.tokens}
    fed = [sources_of(c, 0) + sources_of(c, 1) for c in (free, capped)]
    assert fed[0]["lo.high"] > 5 * tokens["lo.high"]
    assert all(n <= 3.0 * tokens[name] for name, n in fed[1].items())
    assert fed[1]["lo.high"] > 2.5 * tokens["lo.high"]
    assert fed[1].total() == pytest.approx(fed[0].total(), rel=0.01)
    row = capped.summary(0)["lo.high"]
    assert row["share_without_cap"] > row["share"]
    with pytest.raises(DataError, match=r"max_epochs = 0\.1 leaves [0-9,]+\. Lower its tokens"):
        make(store, tmp_path, *mixtures, max_epochs=0.1)


def test_sentence_pairs_get_their_share_in_both_directions(store: TokenStore, tmp_path: Path) -> None:
    curriculum = make(store, tmp_path, {"tokens": 10_000, "parallel_share": 0.2}, {"tokens": 2_000}, parallel="pairs")
    counts = sources_of(curriculum, 0)
    assert counts[SOURCE] / counts.total() == pytest.approx(0.2, abs=0.01)
    assert SOURCE not in sources_of(curriculum, 1)
    ids = {store.document_id(SOURCE, n) for n in range(len(store.lengths(SOURCE)))}
    assert ids == {"dev.en-th:1", "dev.th-en:1"}


def test_rows_of_one_language(store: TokenStore, tmp_path: Path) -> None:
    curriculum = make(store, tmp_path, {"tokens": 8_000, "tiers": ["high", "low"]}, row_languages="pure")
    for step in range(curriculum.steps[0]):
        rows, numbers = curriculum.rows(0, step)
        assert all(len({segment.label for segment in rows.row(n)}) == 1 for n in numbers)


def test_rows_that_are_not_isolated_are_one_run_of_text(store: TokenStore, tmp_path: Path) -> None:
    isolated, joined = (make(store, tmp_path, {"tokens": 3_000}, isolate_documents=choice) for choice in (True, False))
    (rows, numbers), (other, _) = isolated.rows(0, 1), joined.rows(0, 1)
    for n in numbers:
        pieces, apart, together = rows.stream.row(n), rows.row(n), other.row(n)
        assert [s.ids.tolist() for s in apart] == [s.ids.tolist() for s in together]
        assert {s.position for s in apart} == {0}
        places = [sum(len(s.ids) for s in apart[:i]) for i in range(len(apart))]
        assert [s.position for s in together] == places
        for i, segment in enumerate(apart[:-1]):
            follows = segment.targets[-1] == IGNORED and pieces[i + 1].start == 0
            expected = apart[i + 1].ids[0] if follows else segment.targets[-1]
            assert together[i].targets[-1] == expected


# ------------------------------------------------------------------------------------------------------------ decisions

DYNAMIC = {"tokens": 12_000, "dynamic": Dynamic(), "name": "moving"}
LAST = {"tokens": 2_000, "name": "last", "replay": True}


def play(curriculum: Curriculum, first: int = 1) -> list[list[Any]]:
    """Rows of all steps from one on, deciding where the loop measures: a language's figure falls with its tokens."""
    found = []
    for step in range(first - 1, sum(curriculum.steps)):
        if step and step % 5 == 0:
            now = {"en": 2.0, "th": 4.0 - step / 10, "lo": 3.9}
            curriculum.decide(step, Measured(now, START, {"en": 1.9}))
        rows, numbers = curriculum.rows(*curriculum.place(step))
        found.append(
            [[(rows.names[p.source], p.document, p.start, p.stop) for p in rows.stream.row(n)] for n in numbers]
        )
    return found


def test_shares_follow_the_decisions(store: TokenStore, tmp_path: Path) -> None:
    curriculum = make(store, tmp_path, {"tokens": 1_500}, DYNAMIC, LAST)
    assert curriculum.steps == [3, 23, 4]
    steps = play(curriculum)
    rows = rows_of(tmp_path / "decisions.jsonl")
    assert [row["step"] for row in rows] == [5, 10, 15, 20, 25]
    assert {row["mixture"] for row in rows} == {"moving"}
    assert rows[-1]["languages"]["lo"] > rows[0]["languages"]["lo"] > 0.2
    assert rows[1]["languages"]["en"] == pytest.approx(
        0.25 * 1.25**2, abs=1e-4
    )  # English is 5 % worse than the base model
    for number, row in enumerate(rows[:4]):
        fed = Counter()
        for step in steps[row["step"] : row["step"] + 5]:
            for pieces in step:
                for source, _, start, stop in pieces:
                    fed[source] += stop - start
        total = sum(row["sources"].values())
        for source, n in fed.items():
            assert n / fed.total() == pytest.approx(row["sources"][source] / total, abs=0.01), (number, source)


def test_sources_go_on_where_the_section_before_stopped(store: TokenStore, tmp_path: Path) -> None:
    curriculum = make(store, tmp_path, DYNAMIC)
    steps = play(curriculum)
    fed = [(d, t) for s in steps for row in s for source, d, a, b in row if source == "en.high" for t in range(a, b)]
    whole = curriculum.sources["en.high"].cut(0, len(fed))
    assert Counter(fed) == Counter((d, t) for d, a, b in whole for t in range(a, b))


def test_a_resumed_run_reads_its_decisions_and_makes_the_later_ones_again(store: TokenStore, tmp_path: Path) -> None:
    mixtures = ({"tokens": 1_500}, DYNAMIC, LAST)
    expected = play(make(store, tmp_path, *mixtures))
    log = (tmp_path / "decisions.jsonl").read_text()
    (tmp_path / "decisions.jsonl").write_text("".join(log.splitlines(keepends=True)[:2]))
    resumed = make(store, tmp_path, *mixtures)
    assert play(resumed, first=13) == expected[12:]  # from a checkpoint of 12 steps
    assert (tmp_path / "decisions.jsonl").read_text() == log
    stale = make(store, tmp_path, *mixtures)  # its checkpoint is older than its decisions
    assert play(stale, first=8) == expected[7:]
    assert (tmp_path / "decisions.jsonl").read_text() == log
    with pytest.raises(DataError, match="no decision of step 5"):
        make(store, tmp_path / "none", *mixtures).rows(1, 20)


def test_a_dynamic_replay_goes_on_too(store: TokenStore, tmp_path: Path) -> None:
    curriculum = make(store, tmp_path, {"tokens": 4_000}, DYNAMIC | {"replay": True})
    first = documents_of(curriculum, 0, "en.high")
    steps = play(curriculum)[curriculum.steps[0] :]
    fed = Counter(d for s in steps for row in s for source, d, a, _ in row if source == "en.high" and a == 0)
    assert set(fed) <= set(first)
    assert max(fed.values()) - min(fed.values()) <= 1  # pass after pass, not from the start with every section


def test_caps_hold_under_decisions(store: TokenStore, tmp_path: Path) -> None:
    curriculum = make(store, tmp_path, DYNAMIC, max_epochs=4.0)
    play(curriculum)
    assert all(row["epochs"] <= 4.01 for row in curriculum.summary(0).values())


# ----------------------------------------------------------------------------------------------------------- bad input


def test_a_share_of_an_empty_language_is_an_error(store: TokenStore, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"'0' gives a share to 'lo', which has no documents in tiers low.*en, th"):
        make(store, tmp_path, {"tiers": ["low"], "tokens": 100, "shares": {"lo": 0.1}})


def test_an_empty_language_is_named(store: TokenStore, tmp_path: Path) -> None:
    settings = Pretrain(mixtures=[Mixture(name="x", tiers=["high"], tokens=10)])
    with pytest.raises(DataError, match=r"no documents in vi, km.*`languages`"):
        Curriculum(settings, store, ("en", "th", "vi", "km"), 0, tmp_path)
