"""A stage's folder: built as `<folder>.partial`, finished by a manifest and one rename.

    runs/demo/02-corpus.partial/    being built; `fingerprint.json` says for which settings and inputs
    runs/demo/02-corpus/            finished; `manifest.json` holds settings, inputs, versions, counts, seconds

A partial folder of the same fingerprint is continued by its stage, one of another fingerprint is thrown away. The
fingerprint covers what decides the bytes (settings, inputs, seed, the stage's version) and nothing of the machine.
"""

import fcntl
import os
import platform
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from seallm import __version__
from seallm.base.errors import DataError, WorkspaceError
from seallm.base.files import files_under, fingerprint, read_json, resolve_path, write_json
from seallm.base.places import Place, places_under, resolve_place
from seallm.base.runtime import Runtime

INSTRUCTIONS = "instructions"  # the stage that parts conversations between those that train on them
MANIFEST, PARTIAL_MARK = "manifest.json", "fingerprint.json"
RECORDED_PACKAGES = (
    "torch",
    "transformers",
    "tokenizers",
    "numpy",
    "numba",
    "pyarrow",
    "lm-eval",
    "resiliparse",
    "fastwarc",
)


@dataclass(frozen=True)
class StageContext:
    """What a stage is given beside its own settings.

    Attributes:
        out: the folder to write to; what is found there from a killed run may be continued.
        inputs: finished folders of the stages it reads, by stage name; "model" is the newest model before it.
        languages: codes of all languages of the run, the base language first.
        recipe_folder: where relative paths of the recipe start.
        round_number: which of several rounds of the same stages this is, from 1.
        seed: the recipe's seed; derive others from it and from names, never from time.
        counts: figures for the manifest that depend on the inputs alone.
        timings: figures for the manifest that depend on the machine (seconds, tokens/s, bytes).
    """

    out: Path
    inputs: Mapping[str, Path]
    languages: tuple[str, ...]
    seed: int
    runtime: Runtime
    recipe_folder: Path
    counts: dict[str, Any] = field(default_factory=dict)
    timings: dict[str, Any] = field(default_factory=dict)
    round_number: int = 1

    def files(self, paths: Iterable[str]) -> list[Path]:
        """The files that input settings name: files, folders or globs, `sample:` or relative to the recipe.

        Raises:
            DataError: nothing is there.
        """
        return [file for path in paths for file in files_under(self.resolve(path))]

    def places(self, paths: Iterable[str]) -> list[Place]:
        """As `files`, and URLs too."""
        return [place for path in paths for place in places_under(resolve_place(path, self.recipe_folder))]

    def conversations(self, named: Iterable[str], part: str) -> list[Path]:
        """Files of conversations: what the stage `instructions` made for this one, or else those that a section names.

        Args:
            named: the section's setting.
            part: `hybrid` or `sft`.

        Raises:
            DataError: nothing is there.
        """
        if INSTRUCTIONS in self.inputs:
            return [self.inputs[INSTRUCTIONS] / f"{part}.jsonl"]
        return self.files(named)

    def resolve(self, path: str) -> Path:
        """The place that an input setting names."""
        return resolve_path(path, self.recipe_folder)


@dataclass(frozen=True)
class Artifact:
    """Where a stage's result belongs, and the fingerprint it must have.

    Attributes:
        work_fingerprint: of unfinished work that may be continued; differs from `fingerprint` where a setting may be
            changed while the stage is under way. Empty: the same.
    """

    stage: str
    folder: Path
    fingerprint: str
    work_fingerprint: str = ""

    @property
    def partial(self) -> Path:
        """The folder while it is being built."""
        return self.folder.with_name(self.folder.name + ".partial")

    def manifest(self) -> dict[str, Any] | None:
        """The manifest of the finished folder; None where there is none."""
        path = self.folder / MANIFEST
        return read_json(path) if path.is_file() else None

    def is_finished(self) -> bool:
        """True where the folder is complete and was made from just these settings and inputs."""
        manifest = self.manifest()
        return manifest is not None and manifest.get("fingerprint") == self.fingerprint

    def is_under_way(self) -> bool:
        """True where a killed run left work behind that may be continued."""
        mark = self.partial / PARTIAL_MARK
        return mark.is_file() and read_json(mark) == (self.work_fingerprint or self.fingerprint)

    def open_partial(self) -> Path:
        """Make the partial folder, or continue the one a killed run left behind for the same fingerprint."""
        if self.partial.exists() and not self.is_under_way():
            shutil.rmtree(self.partial)
        if not self.partial.exists():
            self.partial.mkdir(parents=True)
            write_json(self.partial / PARTIAL_MARK, self.work_fingerprint or self.fingerprint)
        for leftover in self.partial.rglob(".*.tmp"):  # of writes that a kill cut short
            leftover.unlink()
        return self.partial

    def finish(self, manifest: Mapping[str, Any]) -> None:
        """Write the manifest and put the folder in its place; an older result gives way."""
        write_json(self.partial / MANIFEST, {"fingerprint": self.fingerprint, "stage": self.stage, **manifest})
        (self.partial / PARTIAL_MARK).unlink()
        self._replace()

    def check_place(self) -> None:
        """See that finishing replaces nothing but an older result.

        Raises:
            WorkspaceError: the folder holds files and no manifest.
        """
        if self.folder.exists() and self.manifest() is None and (self.folder.is_file() or any(self.folder.iterdir())):
            raise WorkspaceError(
                f"{self.folder} is there and was not written by seallm (no {MANIFEST}); it would be replaced. Name a "
                "new folder, or empty this one"
            )

    def recover(self) -> None:
        """A kill between manifest and rename leaves a complete partial folder: move it now."""
        path = self.partial / MANIFEST
        if path.is_file() and read_json(path).get("fingerprint") == self.fingerprint:
            (self.partial / PARTIAL_MARK).unlink(missing_ok=True)
            self._replace()

    def _replace(self) -> None:
        stale = self.folder.with_name(self.folder.name + ".stale")
        shutil.rmtree(stale, ignore_errors=True)
        if self.folder.exists():
            self.folder.rename(stale)
        self.partial.rename(self.folder)
        shutil.rmtree(stale, ignore_errors=True)


def stage_fingerprint(stage: str, version: int, settings: object, inputs: Mapping[str, str], seed: int) -> str:
    """What decides a stage's bytes, as one hash."""
    return fingerprint({"stage": stage, "version": version, "settings": settings, "inputs": dict(inputs), "seed": seed})


def versions() -> dict[str, str]:
    """Versions of seallm, Python and the packages that can change a result."""
    found = {"seallm": __version__, "python": platform.python_version(), "machine": platform.machine()}
    for package in RECORDED_PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a finished stage folder.

    Raises:
        DataError: the folder is not a finished stage.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise DataError(f"{folder} is not a finished stage: it has no {MANIFEST}. Run `seallm run RECIPE` first")
    manifest: dict[str, Any] = read_json(path)
    return manifest


@contextmanager
def locked(folder: Path, lock: str = ".lock") -> Iterator[None]:
    """Hold a run folder, or one result in it by a `lock` of its own, for this process alone.

    The kernel frees it when the process ends, however it ends.

    Raises:
        WorkspaceError: another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / lock).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise WorkspaceError(
                f"{folder} is in use by another seallm process. Wait for it, or use another --workspace"
            ) from None
        file.write(str(os.getpid()))
        yield


@contextmanager
def timed(timings: dict[str, Any], name: str) -> Iterator[None]:
    """Add the seconds of a block to `timings[name]`."""
    start = time.perf_counter()
    try:
        yield
    finally:
        timings[name] = round(timings.get(name, 0.0) + time.perf_counter() - start, 3)
