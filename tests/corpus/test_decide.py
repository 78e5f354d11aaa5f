from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seallm.corpus.decide import Choices, count, decide, kept_documents
from seallm.corpus.layout import DROPPED, HELD_OUT, HIGH, LOW
from seallm.corpus.names import name_documents
from tests.corpus.small_tables import GROUPS, QUIET, document, gathered

CHOICES = Choices(("wiki",), 0.5, 0.1, 0.7)


def settled(folder: Path, tables: list[list[dict[str, Any]]], choices: Choices = CHOICES) -> Any:
    folder.mkdir(exist_ok=True)
    shards = gathered(folder, tables, choices.high_sources)
    name_documents(shards, folder, QUIET)
    decide(shards[0].columns, GROUPS, choices, folder, QUIET)
    return shards[0].columns


def test_tiers_held_out_and_reasons(tmp_path: Path) -> None:
    rows = [document(n, quality=n / 100, source="wiki" if n < 5 else "blog") for n in range(60)]
    rows += [document(60, reason=4), document(61, group="unknown", reason=2), document(62, group="th", source="wiki")]
    copy = rows[40]
    rows.append(document(63, hash=copy["hash"], signature=copy["signature"], characters=99))
    columns = settled(tmp_path, [rows[:30], rows[30:]])
    fates = columns.read("fate")
    assert fates[60:].tolist() == [DROPPED, DROPPED, HIGH, DROPPED]
    assert columns.read("representative")[63] == 40
    assert columns.read("cluster_size")[[0, 40]].tolist() == [1, 2]
    others = [n for n in range(5, 60) if fates[n] != HELD_OUT]
    high = [n for n in others if fates[n] == HIGH]
    assert high == others[len(others) - round(0.5 * len(others)) :]
    assert all(fates[n] in (HIGH, HELD_OUT) for n in range(5))
    tiers = columns.read("tier")
    assert tiers[fates != HELD_OUT].tolist() == fates[fates != HELD_OUT].tolist()
    for n in np.flatnonzero(fates[:60] == HELD_OUT):
        assert tiers[n] == (HIGH if n < 5 or n >= min(high) else LOW)
    funnel = count(columns, GROUPS)
    held_out = int((fates == HELD_OUT).sum())
    assert 0 < held_out < 15
    assert funnel["en"] == {
        "read": 62,
        "short": 1,
        "exact_duplicate": 1,
        "kept_high": int((fates[:60] == HIGH).sum()),
        "kept_low": int((fates == LOW).sum()),
        "held_out": held_out,
    }
    assert funnel["unknown"] == {"read": 1, "language": 1, "kept_high": 0, "kept_low": 0, "held_out": 0}
    assert kept_documents(funnel) == 61


@pytest.mark.parametrize("share", [0.0, 1e-12, 1.0])
def test_one_is_held_out_unless_none_is_wanted(tmp_path: Path, share: float) -> None:
    columns = settled(tmp_path, [[document(n) for n in range(9)]], Choices((), 0.5, share, 0.7))
    assert int((columns.read("fate") == HELD_OUT).sum()) == {0.0: 0, 1e-12: 1, 1.0: 9}[share]


def test_decisions_do_not_depend_on_how_documents_are_spread(tmp_path: Path) -> None:
    rows = [document(n, quality=(n * 7 % 10) / 10) for n in range(30)]
    one = settled(tmp_path / "one", [rows])
    other = settled(tmp_path / "other", [rows[20:], rows[:20]])
    order = np.r_[20:30, 0:20]
    for name in ("fate", "final_reason", "cluster_size"):
        assert one.read(name)[order].tolist() == other.read(name).tolist()
