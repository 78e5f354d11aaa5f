"""Tasks of lm-evaluation-harness itself, on a data set as `datasets` has left it on disk."""

from pathlib import Path

import pytest
from datasets import Dataset, DatasetInfo, SplitDict, SplitInfo
from datasets.arrow_writer import ArrowWriter

from seallm.base.errors import RecipeError
from seallm.base.files import resolve_path
from seallm.evaluate.engine import Engine
from seallm.evaluate.harness import Limits, offline
from seallm.evaluate.task_loading import read_tasks
from tests.evaluate.scored import run_tasks


def keep_hellaswag(cache: Path, splits: tuple[str, ...] = ("train", "validation", "test")) -> None:
    """Rows in the columns of HellaSwag (Zellers et al. 2019), written for this test, where a download would be."""
    folder = cache / "Rowan___hellaswag" / "default" / "0.0.0" / "0123456789abcdef"
    folder.mkdir(parents=True)
    rows = [
        {"activity_label": "Rain", "ctx_a": f"It rains on {n} houses.", "ctx_b": "they", "label": str(n % 4)}
        | {"endings": ["get wet", "fly", "sing", "sleep"]}
        for n in range(6)
    ]
    features = Dataset.from_list(rows).features
    for split in splits:
        with ArrowWriter(features=features, path=str(folder / f"hellaswag-{split}.arrow")) as writer:
            for row in rows:
                writer.write(row)
            writer.finalize()
    info = DatasetInfo(features=features, builder_name="parquet", dataset_name="hellaswag", config_name="default")
    info.splits = SplitDict({name: SplitInfo(name, num_bytes=1, num_examples=6) for name in splits})
    info.write_to_directory(str(folder))


@pytest.mark.slow
def test_the_harness_own_tasks(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    with offline():
        missing = read_tasks(["lm-eval:hellaswag"], [], tmp_path, None, None).missing
        assert "python -c \"import datasets; datasets.load_dataset('Rowan/hellaswag')\"" in str(missing["hellaswag"])
        with pytest.raises(RecipeError, match=r"has no task 'hellaswog' \(nearest: 'hellaswag"):
            read_tasks(["lm-eval:hellaswog"], [], tmp_path, None, None)
        keep_hellaswag(tmp_path / "cache")
        tasks = read_tasks(["lm-eval:hellaswag"], [], tmp_path, None, None).tasks
        rows = run_tasks(engine, tasks, Limits(), chat=False, seed=1)
    assert {(row["task"], row["metric"], row["n"]) for row in rows} >= {("hellaswag", "accuracy_unnormalised", 6)}
    assert all(row["chance"] == 0.25 for row in rows)


def test_answers_are_made_shorter_never_longer() -> None:
    names, data = ["quiz_lo", "ntrex_en_lo", "xquad_en"], resolve_path("sample:bench", Path.cwd())
    with offline():
        limits = [
            [(t.config.generation_kwargs or {}).get("max_gen_toks") for t in tasks.values()]
            for most in (None, 100, 20)
            for tasks in [read_tasks(names, [], data, None, 0, max_answer_tokens=most).tasks]
        ]
    assert limits == [[None, 512, 64], [None, 100, 64], [None, 20, 20]]
