"""Raw documents in, clean documents by language and tier out: the corpus stage.

    input files --read_raw----> texts              read, extracted, repaired; a file of texts for each
    all texts   --------------> frames, phrases    lines that a site repeats, words of benchmarks that all use
    texts       --clean_file--> shards             measured, identified, judged, rid of frames and personal data
    all shards  --settle------> documents/ held_out/ dropped/ ledger/   duplicates, tiers, and what became of each

Everything runs over files, parts of the key space and languages in a pool of processes; what a killed run finished is
kept. Nothing is deleted: a dropped document is in `dropped/` with its reason, an unreadable record in
`quarantine.jsonl` with its place.
"""

import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from seallm.base.artifacts import StageContext, timed
from seallm.base.errors import DataError
from seallm.base.files import SAMPLE_PREFIX, read_json, write_json, write_json_lines
from seallm.base.places import Place, place_label, place_size
from seallm.base.shards import map_shards
from seallm.canonical.repair import RepairPolicy
from seallm.corpus.benchmark_files import read_passages
from seallm.corpus.classifier import load_models, save_models
from seallm.corpus.classifier_training import TierShard, score_tiers, train_models
from seallm.corpus.clean import clean_file, save_frames
from seallm.corpus.columns import Columns
from seallm.corpus.decide import Choices, kept_documents
from seallm.corpus.decontaminate import load_index, make_index, mark_common, save_index
from seallm.corpus.fit_thresholds import fit_thresholds
from seallm.corpus.harm_model import load_harm_model
from seallm.corpus.judge_texts import HarmModel, TextFile
from seallm.corpus.layout import documents_of, scored_documents_of
from seallm.corpus.personal import check_placeholder
from seallm.corpus.raw_texts import RawFile, line_counts_of, read_raw, texts_of, window_counts_of
from seallm.corpus.rules import thresholds_of
from seallm.corpus.settle import Funnel, Setting, Table, TextsOf, settle
from seallm.corpus.site_frames import choose_lines
from seallm.corpus.write import Texts
from seallm.languages import load_languages
from seallm.recipe_corpus import Corpus

Job = TypeVar("Job")

MAX_BAD_SHARE = 0.5  # with more unreadable records, the inputs are not what the recipe takes them for
FUNNEL, QUARANTINE, LEAKS = "funnel.json", "quarantine.jsonl", "decontamination.jsonl"
TIER_MODELS = "tier_models.npz"
FRAME_PART_BYTES = 2**30
WARM_START = "seallm.corpus.warm_start"
IDENTIFIER_THRESHOLD = "min_identifier_score"
_WORK, _DISCARDED = "work", ".discarded"


def run(settings: Corpus, context: StageContext) -> None:
    """Build the corpus in `context.out`.

    Writes `documents/<language>.<tier>.parquet`, `held_out/<language>.parquet`, `dropped/<language or unknown>.parquet`
    (columns of `records.DOCUMENT_SCHEMA`), `ledger/`, `funnel.json` and `quarantine.jsonl`.

    Raises:
        DataError: there is no input, most records cannot be read, or no document is left.
        RecipeError: a language has no file, or the placeholder of personal data cannot be used.
    """
    check_placeholder(settings.personal_placeholder)
    if model := _harm_model(settings, context):
        load_harm_model(model.path, model.label)  # what is wrong with it is said before anything is read
    work = open_work(context.out)
    with timed(context.timings, "read_seconds"):
        names, read = _read(settings, context, work)
    summaries = [read_json(result) for result in read]
    quarantine = [entry for summary in summaries for entry in summary["quarantine"]]
    documents = [summary["documents"] for summary in summaries]
    _check_readable(sum(documents), quarantine)
    if not sum(documents):
        check_kept({})
    with timed(context.timings, "clean_seconds"):
        results = _clean(settings, context, read, work)
    cleaned = [read_json(result) for result in results]
    with timed(context.timings, "tier_seconds"):
        shards = _score_tiers(settings, context, results)
    tables = [Table(shard, count, name) for name, shard, count in zip(names, shards, documents, strict=True)]
    setting = _setting(settings, context, work, cleaned)
    funnel = settle(tables, _shard_texts(tables), setting, context.runtime, context.timings, check_kept)
    write_json(context.out / FUNNEL, funnel)
    write_json_lines(context.out / QUARANTINE, quarantine)
    write_json_lines(context.out / LEAKS, (leak for summary in cleaned for leak in summary["leaks"]))
    context.counts.update(
        totals(funnel),
        quarantined=len(quarantine),
        skipped=_sum_of(summaries, "skipped"),
        repaired=_sum_of(summaries, "repaired"),
        personal_data=_sum_of(cleaned, "masked"),
        frame_lines=sum(summary["frame_lines"] for summary in cleaned),
    )
    close_work(context.out)


def _sum_of(summaries: Sequence[dict[str, Any]], name: str) -> dict[str, int]:
    total = sum((Counter(summary[name]) for summary in summaries), Counter[str]())
    return dict(sorted(total.items()))


def _setting(settings: Corpus, context: StageContext, work: Path, cleaned: Sequence[dict[str, Any]]) -> Setting:
    thresholds = thresholds_of(load_languages(context.languages))
    if settings.identifier_threshold == "fitted":
        counts = {c: np.sum([summary["score_counts"][c] for summary in cleaned], axis=0) for c in thresholds}
        of_files = {code: values[IDENTIFIER_THRESHOLD] for code, values in thresholds.items()}
        for code, value in fit_thresholds(counts, of_files).items():
            thresholds[code][IDENTIFIER_THRESHOLD] = value
    return Setting(
        languages=context.languages,
        rejudge=settings.identifier_threshold == "fitted",
        thresholds=thresholds,
        choices=Choices(
            tuple(settings.high_sources),
            settings.high_share,
            settings.held_out_share,
            settings.near_duplicate_similarity,
            settings.high_threshold,
        ),
        permutations=settings.minhash_permutations,
        band_count=settings.minhash_bands,
        work=work,
        out=context.out,
    )


def _shard_texts(tables: Sequence[Table]) -> TextsOf:
    """Where `settle` finds the texts of a group: in every shard, in row groups of their own."""

    def texts_of(group: str, names: Sequence[Path], columns: Columns) -> tuple[Texts, ...]:
        pairs = zip(tables, names, columns.starts[:-1], strict=True)
        return tuple(Texts(table.path, group, start, names=name) for table, name, start in pairs)

    return texts_of


def open_work(out: Path) -> Path:
    """The folder of intermediate files; what a killed process left half written goes."""
    shutil.rmtree(out / _DISCARDED, ignore_errors=True)
    for leftover in out.rglob(".*.tmp"):
        leftover.unlink()
    work = out / _WORK
    work.mkdir(exist_ok=True)
    return work


def close_work(out: Path) -> None:
    """Remove the intermediate files, so that a kill leaves either all of them or what the next run throws away."""
    (out / _WORK).rename(out / _DISCARDED)
    shutil.rmtree(out / _DISCARDED)


def _read(settings: Corpus, context: StageContext, work: Path) -> tuple[list[str], list[Path]]:
    """Read, extract and repair every input file; names of the files, and the summaries."""
    places = list(dict.fromkeys(context.places(settings.inputs)))
    if not places:
        raise DataError("[corpus] names no inputs. Give files, folders or globs in `inputs`")
    index = _index_benchmarks(settings, context, work)
    names = [_display_name(place, context) for place in places]
    policy = RepairPolicy(settings.zero_width, settings.full_width, settings.vietnamese_tones, settings.zawgyi)
    files = [
        RawFile(place, name, settings.columns, settings.extractor, policy, settings.strip_site_frames, index)
        for place, name in zip(places, names, strict=True)
    ]
    results = [work / f"read.{number:05d}.json" for number in range(len(files))]
    _map_files(read_raw, files, results, [place_size(place) for place in places], "reading", context)
    return names, results


def _map_files(
    function: Callable[[Job, Path], None],
    jobs: Sequence[Job],
    results: Sequence[Path],
    sizes: Sequence[int],
    title: str,
    context: StageContext,
) -> None:
    """Run over files, the largest first, so that no worker is left alone with it at the end."""
    order = sorted(range(len(jobs)), key=lambda i: (-sizes[i], i))
    runtime = context.runtime
    ordered_jobs, ordered_results = [jobs[i] for i in order], [results[i] for i in order]
    map_shards(function, ordered_jobs, ordered_results, title, runtime, runtime.engine, WARM_START)


def _index_benchmarks(settings: Corpus, context: StageContext, work: Path) -> Path | None:
    """The file of the benchmarks' windows; None where there are no benchmarks."""
    if not settings.benchmarks:
        return None
    path = work / "benchmarks.npz"
    if not path.exists():
        fields = settings.benchmark_fields
        files = dict.fromkeys(context.files(settings.benchmarks))
        passages = [p for file in files for p in read_passages(file, _display_name(file, context), fields)]
        save_index(make_index(passages), path)
    return path


def _clean(settings: Corpus, context: StageContext, read: Sequence[Path], work: Path) -> list[Path]:
    """Judge every text, now that frames and common phrases are known from all files; the summaries."""
    model = context.resolve(settings.identifier_model) if settings.identifier_model else None
    common = TextFile(
        texts=work,
        languages=context.languages,
        identifier_model=model,
        minhash=(settings.minhash_permutations, settings.minhash_shingle_units),
        frames=_find_frames(settings, read, work),
        index=_mark_phrases(settings, read, work),
        benchmark_share=settings.benchmark_share,
        benchmark_action=settings.benchmark_action,
        personal_data=settings.personal_data,
        personal_placeholder=settings.personal_placeholder,
        harm_words=settings.harm_words,
        harm_model=_harm_model(settings, context),
        blocked=tuple(context.files(settings.blocked_domains)),
        opted_out=tuple(context.files(settings.opt_out_domains)),
    )
    files = [replace(common, texts=texts_of(result)) for result in read]
    results = [work / f"{number:05d}.json" for number in range(len(files))]
    _map_files(clean_file, files, results, [file.texts.stat().st_size for file in files], "cleaning", context)
    return results


def _harm_model(settings: Corpus, context: StageContext) -> HarmModel | None:
    if settings.harm_model is None:
        return None
    drop_from = settings.harm_threshold if settings.harm_model_action == "drop" else None
    return HarmModel(context.resolve(settings.harm_model), settings.harm_label, drop_from)


def _score_tiers(settings: Corpus, context: StageContext, results: Sequence[Path]) -> list[Path]:
    """Where the recipe names good sources, train a classifier for each language and score all shards; the shards."""
    if not (settings.reference_sources or settings.reference_scores):
        return [documents_of(result) for result in results]
    models_path = context.out / TIER_MODELS
    if not models_path.exists():
        grades = context.resolve(settings.reference_scores) if settings.reference_scores else None
        shards = [documents_of(result) for result in results]
        save_models(train_models(shards, context.languages, settings.reference_sources, grades), models_path)
    models = load_models(models_path)
    context.counts["tier_models"] = {code: asdict(model.evidence) for code, model in sorted(models.items())}
    useful = tuple(sorted(code for code, model in models.items() if model.is_useful))
    jobs = [TierShard(documents_of(result), models_path, useful) for result in results]
    scored = [scored_documents_of(result) for result in results]
    map_shards(score_tiers, jobs, scored, "tier scores", context.runtime, context.runtime.engine)
    return scored


def _find_frames(settings: Corpus, read: Sequence[Path], work: Path) -> Path | None:
    path = work / "frames.npz"
    counts = [file for result in read for file in line_counts_of(result)]
    if not settings.strip_site_frames or not counts:
        return None
    if not path.exists():
        save_frames(choose_lines(counts, 1 + sum(file.stat().st_size for file in counts) // FRAME_PART_BYTES), path)
    return path


def _mark_phrases(settings: Corpus, read: Sequence[Path], work: Path) -> Path | None:
    if not settings.benchmarks:
        return None
    path = work / "marked.npz"
    if not path.exists():
        index = load_index(work / "benchmarks.npz")
        documents = np.zeros(len(index.table.hashes), np.int64)
        for result in read:
            counts = np.load(window_counts_of(result))
            documents[counts["positions"]] += counts["documents"]
        save_index(mark_common(index, documents), path)
    return path


def _display_name(path: Place, context: StageContext) -> str:
    """The path as a recipe would name it, so that a run's files do not depend on where things lie."""
    if isinstance(path, str):
        return place_label(path)
    sample = Path(str(resources.files("seallm"))) / "sample"
    if path.is_relative_to(sample):
        return SAMPLE_PREFIX + path.relative_to(sample).as_posix()
    folder = context.recipe_folder
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)


def _check_readable(documents: int, quarantine: Sequence[dict[str, str]]) -> None:
    if len(quarantine) > MAX_BAD_SHARE * (documents + len(quarantine)):
        first = "; ".join(f"{entry['where']}: {entry['reason']}" for entry in quarantine[:3])
        raise DataError(
            f"{len(quarantine)} of {documents + len(quarantine)} records cannot be read, for example {first}. "
            "Check the files that [corpus] names"
        )


def check_kept(funnel: Funnel) -> None:
    """Stop where nothing is left.

    Raises:
        DataError: every document was dropped.
    """
    if not kept_documents(funnel):
        causes = sum((Counter(row) for row in funnel.values()), Counter[str]())
        causes.pop("read", None)
        found = ", ".join(f"{count} {reason}" for reason, count in causes.most_common() if count) or "none were read"
        raise DataError(
            f"No document is left after cleaning ({found}). Check the inputs, the languages and their rules"
        )


def totals(funnel: Funnel) -> dict[str, Any]:
    """Documents read, kept and dropped, of all groups together."""
    read, kept = sum(row["read"] for row in funnel.values()), kept_documents(funnel)
    return {"read": read, "kept": kept, "dropped": read - kept}
