"""Vocabulary work outside a run: what the verbs `seallm vocab ...` do, as functions.

`extend` runs the very stage of a run over inputs that were put together for it; `certify` runs the stage's checks
again; `measure`, `doctor` and `plan` look without changing anything.
"""

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seallm.base.artifacts import Artifact, StageContext, locked, stage_fingerprint
from seallm.base.errors import DataError, VocabError
from seallm.base.files import file_fingerprint, files_under, read_json, resolve_path, write_json
from seallm.languages import known_languages, load_languages
from seallm.parallel_folder import Parallel, has_halves, languages_in, read_parallel
from seallm.plan import Plan, PlannedStage, make_runtime, run_stage
from seallm.recipe import Recipe
from seallm.recipe_file import check_recipe
from seallm.recipe_vocab import Vocab
from seallm.stage_kinds import KINDS, StageKind
from seallm.vocab import stage as vocab_stage
from seallm.vocab.certificate import CertificateFailed, Samples, certify, demand
from seallm.vocab.doctor import Diagnosis, examine
from seallm.vocab.extend import write_tokenizer
from seallm.vocab.measure import measure as measure_ratios
from seallm.vocab.measure import paper_rows
from seallm.vocab.plots import plot_ratios
from seallm.vocab.sentencepiece_extension import SENTENCEPIECE_FILE, model_file_of
from seallm.vocab.tokenizer_places import STAGE_FOLDER, open_tokenizer, short_names
from seallm.vocab.vocabulary_checks import Check, check_record
from seallm.vocab_inputs import (
    CERTIFICATE,
    TOKENS_ADDED,
    corpus_fingerprint,
    recorded,
    recorded_languages,
    write_base,
    write_corpus,
    write_parallel,
)

SAMPLE_PARALLEL = "sample:parallel"


@dataclass(frozen=True)
class Request:
    """What to extend, and from what.

    Attributes:
        base: tokenizer, as `open_tokenizer` takes it.
        corpus: a corpus, or files of documents.
        parallel: folder of parallel sentences.
        languages: codes, the base language first; none: all that the parallel folder has and a language file knows.
        overrides: settings of [vocab], as `new_tokens=16000`.
        seed: of the certificate's random texts.
    """

    base: str
    corpus: str
    parallel: str
    languages: tuple[str, ...] = ()
    overrides: tuple[str, ...] = ()
    seed: int = 0

    def recipe(self) -> Recipe:
        """The request as a recipe, checked.

        Raises:
            RecipeError: a setting is unknown or of the wrong type, or a language has no file.
            DataError: the parallel folder has no language that is known.
        """
        values: dict[str, Any] = {
            "name": "vocab",
            "seed": self.seed,
            "languages": list(self.languages or self._all_languages()),
            "base": {"model": self.base},
            # a recipe with [vocab] has these; nothing here reads them
            "corpus": {"inputs": []},
            "pretrain": {"mixtures": [{"name": "none", "tiers": ["high"], "tokens": 1}]},
            "vocab": {"parallel": "parallel"},
        }
        changes = [f"vocab.{override}" for override in self.overrides]
        recipe = check_recipe(values, changes, Path.cwd() / "seallm vocab")
        if recipe.vocab is None or recipe.vocab.target_vocabulary is None:
            return recipe
        target = str(resolve_path(recipe.vocab.target_vocabulary, Path.cwd()))
        return recipe.model_copy(update={"vocab": recipe.vocab.model_copy(update={"target_vocabulary": target})})

    def _all_languages(self) -> list[str]:
        known = [code for code in languages_in(self.parallel_folder()) if code in known_languages()]
        if len(known) < 2:
            raise DataError(
                f"{self.parallel} has parallel sentences of {', '.join(known) or 'no known language'}; an extension "
                "needs the base language and one more. Add files, or language files for the codes there"
            )
        if known[0] != "en":
            raise DataError(f"{self.parallel} has no English. Name all languages, the base's own first: --languages")
        return known

    def parallel_folder(self) -> Path:
        """Where the parallel sentences lie."""
        return resolve_path(self.parallel, Path.cwd())

    def corpus_place(self) -> Path:
        """Where the documents lie."""
        return resolve_path(self.corpus, Path.cwd())


@dataclass(frozen=True)
class Inputs:
    """The folders of one request, ready for the stage, and the sentences in them."""

    folder: Path
    stage: dict[str, Path]
    halves: Mapping[str, Parallel]


@contextmanager
def inputs_of(request: Request, recipe: Recipe, beside: Path | None = None) -> Iterator[Inputs]:
    """Put together what the stage reads, in a folder that vanishes afterwards.

    Args:
        request: what the user asked for.
        recipe: the same, checked.
        beside: the result's folder: the inputs lie beside it, so that the next call clears what a killed one left.

    Raises:
        VocabError: the base cannot be opened, or cannot be extended.
        DataError: documents or sentences are missing or do not fit together.
    """
    settings = recipe.vocab
    assert settings is not None, "a request's recipe has a [vocab]"
    opened = open_tokenizer(request.base)
    opened.bpe()
    folder = beside.with_name(f".{beside.name}.inputs") if beside else Path(tempfile.mkdtemp(prefix="seallm-vocab-"))
    try:
        shutil.rmtree(folder, ignore_errors=True)
        halves = write_parallel(request.parallel_folder(), recipe.languages, folder / "parallel")
        write_base(opened, folder / "base")
        megabytes = settings.megabytes_per_language
        corpus = write_corpus(request.corpus_place(), recipe.languages, megabytes, folder / "corpus")
        yield Inputs(folder, {"base": folder / "base", "corpus": corpus}, halves)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def extend(request: Request, out: Path) -> bool:
    """Extend a tokenizer as the vocab stage of a run does; all files lie in `out` itself.

    Returns:
        False where a finished result of the same settings and inputs was there.

    Raises:
        VocabError: the base cannot be extended, the corpus gives too few tokens, or the certificate fails; `out` is
            then as it was.
        DataError: documents or sentences are missing or do not fit together.
        WorkspaceError: something else lies in `out`.
    """
    recipe = request.recipe()
    kind = next(kind for kind in KINDS if kind.name == "vocab")
    kind = StageKind(kind.name, f"{__name__}:run_in_one_folder", version=kind.version)
    artifact = Artifact(kind.name, out, _fingerprint(request, recipe, kind.version))
    with locked(out.parent, f".{out.name}.lock"):
        artifact.recover()
        artifact.check_place()
        if artifact.is_finished():
            return False
        with inputs_of(request, recipe, out) as inputs:
            assert recipe.vocab is not None
            stage = PlannedStage(kind, recipe.vocab, artifact, inputs.stage)
            try:
                run_stage(Plan(recipe, inputs.folder, out.parent, (stage,)), stage, make_runtime(recipe.compute))
            except CertificateFailed as error:
                raise CertificateFailed(f"{error}. All figures are in {artifact.partial / CERTIFICATE}") from None
    return True


def notes_on(request: Request) -> list[str]:
    """What a reader should know of a request's sentences, one line each."""
    folder = request.parallel_folder()
    cut = (
        [] if has_halves(folder) else [f"{folder} has no halves: the last fifth of its sentences was kept for testing"]
    )
    return cut + read_parallel(folder, "dev", request.recipe().languages).notes


def run_in_one_folder(settings: Vocab, context: StageContext) -> None:
    """Run the stage, then bring the tokenizer's files up beside its certificate."""
    vocab_stage.run(settings, context)
    inner = context.out / STAGE_FOLDER
    for path in sorted(inner.iterdir()):
        path.replace(context.out / path.name)
    inner.rmdir()


def _fingerprint(request: Request, recipe: Recipe, version: int) -> str:
    assert recipe.vocab is not None
    opened = open_tokenizer(request.base)
    folder = request.parallel_folder()
    languages = [language.model_dump(mode="json") for language in load_languages(tuple(recipe.languages)).values()]
    files = {"base": file_fingerprint(opened.path), **corpus_fingerprint(request.corpus_place())}
    files |= {f"parallel/{path.name}": file_fingerprint(path) for path in sorted(folder.glob("*.txt"))}
    if recipe.vocab.target_vocabulary is not None:
        files["target"] = file_fingerprint(files_under(Path(recipe.vocab.target_vocabulary))[0])
    settings = {"section": recipe.vocab.model_dump(mode="json"), "languages": languages}
    return stage_fingerprint("vocab alone", version, settings, files, recipe.seed)


def certify_folder(folder: Path, base: str, parallel: str | None, languages: Sequence[str], seed: int) -> list[Check]:
    """Check an extended tokenizer again.

    Args:
        folder: with the extended tokenizer; `certificate.json` in it names the languages where none are given.
        base: the tokenizer that was extended.
        parallel: folder of sentences to check with; absent: those that ship with seallm, as far as they have the
            languages.
        languages: codes, the base language first.
        seed: of the random texts.

    Raises:
        VocabError: one of the two is not a BPE tokenizer.
        DataError: no languages are given and none are recorded.
    """
    before, after = open_tokenizer(base), open_tokenizer(folder)
    codes = tuple(languages) or recorded_languages(folder)
    sentences = read_parallel(resolve_path(parallel or SAMPLE_PARALLEL, Path.cwd()), None, _those(codes, parallel))
    scripts = dict.fromkeys(script for language in load_languages(codes).values() for script in language.scripts)
    texts = [*(text for form in (sentences.raw, sentences.canonical) for lines in form.values() for text in lines)]
    samples = Samples(next(iter(sentences.canonical.values())), texts, tuple(scripts))
    base_bpe, new_bpe = before.bpe(), after.bpe()
    old_file = model_file_of(base_bpe, before.folder) if before.path.suffix != ".model" else before.path
    new_file = after.folder / SENTENCEPIECE_FILE
    files = (old_file, new_file) if old_file and new_file.is_file() else None
    checks = certify(base_bpe, new_bpe, samples, seed, files)
    record = recorded(folder, TOKENS_ADDED)
    return [*checks, check_record(base_bpe, new_bpe, read_json(record))] if record else checks


def _those(codes: Sequence[str], parallel: str | None) -> tuple[str, ...]:
    """The languages to check with: all where the user gave sentences, else those that seallm ships any of."""
    if parallel is not None:
        return tuple(codes)
    shipped = languages_in(resolve_path(SAMPLE_PARALLEL, Path.cwd()))
    return tuple(code for code in codes if code in shipped) or shipped[:1]


def measure(
    places: Sequence[str],
    parallel: str,
    *,
    reference: str | None = None,
    languages: Sequence[str] = (),
    with_paper: bool = False,
    out: Path | None = None,
) -> tuple[dict[str, Any], list[str]]:
    """Tokens for the same meaning by language and tokenizer, on canonical and on raw text.

    Args:
        places: tokenizers, as `open_tokenizer` takes them.
        parallel: folder of parallel sentences; of files with halves, the test half is read.
        reference: tokenizer whose English is the unit; absent: the first one's.
        languages: codes, the unit's first; none: all that are there.
        with_paper: add the rows of the paper's Table 1.
        out: folder for `compression.json` and `compression.png`.

    Returns:
        The figures, see `vocab.measure.measure`; and notes on the sentences.

    Raises:
        VocabError: a tokenizer cannot be opened.
        DataError: sentences are missing or do not fit together.
    """
    folder = resolve_path(parallel, Path.cwd())
    sentences = read_parallel(folder, "test" if has_halves(folder) else None, languages)
    names = short_names(list(dict.fromkeys(places)))
    tokenizers = {
        name: open_tokenizer(place).tokenizer for name, place in zip(names, dict.fromkeys(places), strict=True)
    }
    unit = (short_names([reference])[0], open_tokenizer(reference).tokenizer) if reference else None
    figures = measure_ratios(tokenizers, {"canonical": sentences.canonical, "raw": sentences.raw}, unit)
    if with_paper:
        figures["paper"] = paper_rows(sentences.languages)
    if out is not None:
        write_json(out / "compression.json", {**figures, "notes": sentences.notes})
        rows = {**figures["forms"]["canonical"], **figures.get("paper", {})}
        series = {name: row["ratios"] for name, row in rows.items()}
        plot_ratios(series, figures["reference"], out / "compression.png")
    return figures, sentences.notes


def doctor(
    place: str, parallel: str, languages: Sequence[str] = (), write: Path | None = None
) -> tuple[Diagnosis, list[str]]:
    """What a tokenizer's pre-tokenizer forbids, and the repair.

    Args:
        place: a BPE tokenizer, as `open_tokenizer` takes it.
        parallel: folder of parallel sentences; all of them are read.
        languages: codes, the base language first; none: all that are there.
        write: folder for the repaired tokenizer.

    Returns:
        The diagnosis, and notes on the sentences.

    Raises:
        VocabError: it cannot be opened or is not BPE; or it is to be written and there is nothing to repair, or the
            proof failed.
        DataError: sentences are missing or do not fit together.
    """
    opened = open_tokenizer(place)
    sentences = read_parallel(resolve_path(parallel, Path.cwd()), None, languages)
    found = examine(opened.bpe(), sentences.canonical)
    if write is not None:
        if found.repaired is None or found.proof is None:
            raise VocabError(
                f"{place} needs no repair: no regex of it ends words at combining marks. Nothing is written"
            )
        demand([found.proof])
        write_tokenizer(opened.folder, found.repaired.document, write)
        write_json(write / "doctor.json", found.document())
    return found, sentences.notes
