"""One engine around a tiny model that knows its answers by heart, shared by all tests here."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from seallm.serve.engine import Engine
from seallm.serve.loading import EngineSettings, load_engine
from tests.serve.small_model import ANSWERS, OTHER_ANSWERS, learn_by_heart, save_small_run


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder `small` with a finished sft stage; read-only."""
    run = tmp_path_factory.mktemp("runs") / "small"
    save_small_run(run, *learn_by_heart(ANSWERS))
    return run


@pytest.fixture(scope="session")
def shared_engine(small_run: Path) -> Iterator[Engine]:
    engine = load_engine(small_run, EngineSettings(max_waiting=64))
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def other_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run `other` whose model has another answer to Hello; read-only."""
    run = tmp_path_factory.mktemp("runs") / "other"
    save_small_run(run, *learn_by_heart(OTHER_ANSWERS, steps=80))
    return run


@pytest.fixture(scope="session")
def other_engine(other_run: Path) -> Iterator[Engine]:
    engine = load_engine(other_run)
    yield engine
    engine.close()
