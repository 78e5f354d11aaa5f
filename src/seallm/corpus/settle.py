"""Judged tables in, the corpus's files, its ledger and its funnel out: what a first build and `retier` share.

    gather     figures of every table  -> columns, a flat file a figure
    name       ids                     -> ids that occur once
    decide     columns                 -> duplicates, held out, high and low
    write      texts and decisions     -> documents/ held_out/ dropped/
    record     figures and decisions   -> ledger/

Every step runs over shards in a pool of processes and leaves files in the work folder; a step whose file is there is
not done again.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from seallm.base.artifacts import timed
from seallm.base.files import write_json
from seallm.base.runtime import Runtime
from seallm.base.shards import map_shards
from seallm.corpus.columns import Columns, Shard, gather
from seallm.corpus.decide import Choices, count, decide
from seallm.corpus.layout import LEDGER, RULES_FILE, groups_of
from seallm.corpus.ledger import LedgerPart, write_ledger
from seallm.corpus.names import name_documents
from seallm.corpus.rules import Thresholds
from seallm.corpus.write import Group, Texts, write_group

POOL_DOCUMENTS = 4_000  # with fewer, a pool of processes for each step takes longer than the steps

Funnel = dict[str, dict[str, int]]
TextsOf = Callable[[str, Sequence[Path], Columns], tuple[Texts, ...]]


@dataclass(frozen=True)
class Table:
    """A judged table.

    Attributes:
        path: a shard, or a part of a ledger.
        documents: its rows.
        read_from: name of the input file; None where the table says so itself.
    """

    path: Path
    documents: int
    read_from: str | None


@dataclass(frozen=True)
class Setting:
    """What decides, and where.

    Attributes:
        languages: codes of the recipe's languages.
        thresholds: of their rules.
        choices: settings of duplicates and tiers.
        permutations: bytes of a signature.
        band_count: bands of a signature.
        work: folder for intermediate files.
        out: folder of the corpus.
        rejudge: judge the tables' figures by the thresholds; else they have been judged.
    """

    languages: tuple[str, ...]
    thresholds: Thresholds
    choices: Choices
    permutations: int
    band_count: int
    work: Path
    out: Path
    rejudge: bool = False


def settle(
    tables: Sequence[Table],
    texts_of: TextsOf,
    setting: Setting,
    runtime: Runtime,
    timings: dict[str, Any],
    check: Callable[[Funnel], None],
) -> Funnel:
    """Decide on all documents and write the corpus.

    Args:
        tables: all judged tables.
        texts_of: gives the files that hold a group's texts, from its name, the files of final ids, and the columns.
        setting: what decides, and where.
        runtime: `workers` processes are used.
        timings: gets the seconds of the steps.
        check: called with the funnel before anything is written.

    Returns:
        documents read, dropped by reason, and kept, for each group.
    """
    groups = groups_of(setting.languages)
    if sum(table.documents for table in tables) < POOL_DOCUMENTS:
        runtime = replace(runtime, workers=1)
    with timed(timings, "decide_seconds"):
        shards = _gather(tables, groups, setting, runtime)
        columns = shards[0].columns
        names = name_documents(shards, setting.work, runtime)
        decide(columns, groups, setting.choices, setting.work, runtime)
        funnel = count(columns, groups)
    check(funnel)
    with timed(timings, "write_seconds"):
        jobs = [Group(name, texts_of(name, names, columns), columns, setting.out) for name in groups]
        marks = [setting.work / f"written.{name}.json" for name in groups]
        map_shards(write_group, jobs, marks, "writing", runtime)
        parts = [
            LedgerPart(shard, table.read_from, tuple(names), setting.thresholds)
            for shard, table in zip(shards, tables, strict=True)
        ]
        ledger = [setting.out / LEDGER / f"{shard.number:05d}.parquet" for shard in shards]
        map_shards(write_ledger, parts, ledger, "ledger", runtime)
    write_json(setting.out / RULES_FILE, rules_record(setting))
    return funnel


def rules_record(setting: Setting) -> Mapping[str, Any]:
    """What `rules.json` holds."""
    return {
        "languages": list(setting.languages),
        "thresholds": setting.thresholds,
        "choices": asdict(setting.choices),
        "permutations": setting.permutations,
        "bands": setting.band_count,
    }


def _gather(tables: Sequence[Table], groups: tuple[str, ...], setting: Setting, runtime: Runtime) -> list[Shard]:
    starts = tuple(np.cumsum([0, *(table.documents for table in tables)]).tolist())
    columns = Columns(setting.work / "columns", starts, setting.permutations, setting.band_count)
    columns.create()
    thresholds = setting.thresholds if setting.rejudge else None
    sources = setting.choices.high_sources
    shards = [Shard(table.path, n, columns, groups, sources, thresholds) for n, table in enumerate(tables)]
    map_shards(
        gather, shards, [setting.work / f"gathered.{n:05d}.json" for n in range(len(shards))], "figures", runtime
    )
    return shards
