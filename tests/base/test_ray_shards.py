"""A real two-node cluster on this machine; one node is killed while it works."""

import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from seallm.base.errors import DataError, MissingExtra
from seallm.base.files import write_json, write_text
from seallm.base.runtime import Runtime
from seallm.base.shards import map_shards
from seallm.languages import OWN_FILES_VARIABLE, known_languages

_QUIET = Runtime(show_progress=False)
_ROOT = Path(__file__).parents[2]


def describe(shard: int, result: Path) -> None:
    if shard == 13:
        raise DataError("shard 13 has no text")
    write_text(result.parent.parent / "started" / str(os.getppid()), "")  # the parent of a worker is its node
    time.sleep(0.4)
    write_json(result, {"shard": shard, "text": "ข้าว" * shard, "languages": known_languages()})


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    pytest.importorskip("ray")
    import ray
    from ray.cluster_utils import Cluster

    paths = os.pathsep.join((str(_ROOT / "src"), str(_ROOT)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", paths)
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        size = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
        cluster = Cluster(initialize_head=True, head_node_args={**size, "include_dashboard": False})
        try:
            ray.init(address=cluster.address, log_to_driver=False)
            cluster.small_node = size
            yield cluster
        finally:
            ray.shutdown()
            cluster.shutdown()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")
def test_a_node_that_dies_costs_nothing(cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    language = tmp_path / "xx.toml"
    language.write_text("")
    monkeypatch.setenv(OWN_FILES_VARIABLE, str(language))
    shards = range(14, 30)
    places = {name: [tmp_path / name / f"{n}.json" for n in shards] for name in ("local", "ray")}
    node = cluster.add_node(**cluster.small_node)
    cluster.wait_for_nodes()
    killer = threading.Thread(target=_kill_when_busy, args=(cluster, node, places["ray"]))
    killer.start()
    map_shards(describe, shards, places["ray"], "describing", _QUIET, engine="ray")
    killer.join()
    nodes = {path.name for path in (tmp_path / "started").iterdir()} - {"1"}  # whose node is dead is a child of init
    assert len(nodes) == 2  # both had work
    map_shards(describe, shards, places["local"], "describing", _QUIET)
    assert [p.read_bytes() for p in places["ray"]] == [p.read_bytes() for p in places["local"]]
    assert "xx" in json.loads(places["ray"][0].read_text())["languages"]
    # the killed write may have left its hidden file, which a stage removes when it ends; nothing else may be there
    assert {path.name for path in (tmp_path / "ray").glob("[!.]*")} == {path.name for path in places["ray"]}


def _kill_when_busy(cluster: Any, node: Any, results: list[Path]) -> None:
    while sum(result.exists() for result in results) < 4:
        time.sleep(0.02)
    cluster.remove_node(node, allow_graceful=False)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")
def test_errors_and_finished_results(cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    results = [Path(f"{n}.json") for n in (2, 13)]
    results[0].write_text("kept")
    with pytest.raises(DataError, match="shard 13 has no text"):
        map_shards(describe, [2, 13], results, "describing", _QUIET, engine="ray")
    assert results[0].read_text() == "kept"
    assert not results[1].exists()
    relative = [Path("deep/3.json")]
    map_shards(describe, [3], relative, "describing", _QUIET, engine="ray")
    assert json.loads(relative[0].read_text())["shard"] == 3


def test_without_ray(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtra, match=r"pip install 'seallm\[ray\]'"):
        map_shards(describe, [1], [tmp_path / "a"], "describing", _QUIET, engine="ray")
