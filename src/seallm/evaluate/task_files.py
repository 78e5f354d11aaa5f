"""The table of benchmarks in, task files of lm-evaluation-harness out: one for each benchmark, language and direction.

`tasks/families.toml` says where a benchmark's files lie and what they hold, `tasks/words.toml` what prompts say in each
language, and `tasks/_*.yaml` what all tasks of one kind have in common. The files may be used by lm-evaluation-harness
alone: `python -m seallm.evaluate.task_files FOLDER`, then `lm_eval --include_path FOLDER`.
"""

import functools
import json
import sys
import tomllib
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

from seallm.evaluate.safety_rates import ANSWER, METRICS
from seallm.languages import load_language

TASK_FOLDER = Path(str(resources.files("seallm"))) / "evaluate" / "tasks"
PREFIX = "seallm_"
ORDER = ("en", "zh", "vi", "id", "th", "ms", "km", "lo", "my", "tl")  # of `names` in words.toml
ENGLISH = "en"
EXAMS = ("exam", "submission")
ANSWER_TOKENS = {"span": 64, "summary": 256, "translation": 256, "sums": 320, "safety": 96}  # longest answers of a kind
MANY_LINES = ("sums", "safety")
UNSPACED_FACTOR = 2  # tokenizers without the script's characters need that much more for the same answer
Config = dict[str, Any]
Family = dict[str, Any]


@functools.cache
def words() -> dict[str, Config]:
    """What prompts say, by language."""
    found: dict[str, Config] = tomllib.loads((TASK_FOLDER / "words.toml").read_text(encoding="utf-8"))
    return found


@functools.cache
def benchmarks() -> dict[str, Family]:
    """The table of benchmarks, by name."""
    found: dict[str, Family] = tomllib.loads((TASK_FOLDER / "families.toml").read_text(encoding="utf-8"))
    return found


def write_task_files(folder: Path) -> None:
    """Write the task files of every benchmark."""
    for config in task_configs():
        path = folder / f"{config['task'].removeprefix(PREFIX)}.yaml"
        path.write_text(json.dumps(config, ensure_ascii=False, indent=1), encoding="utf-8")  # JSON is YAML


def task_configs() -> Iterator[Config]:
    """The settings of every task file."""
    for name, family in benchmarks().items():
        if family["kind"] == "translation":
            yield from _translations(name, family)
            continue
        for code in family["languages"]:
            if family["kind"] == "safety":
                yield from _safety(name, family, code)
                continue
            yield _config(name, family, code)
            if family["kind"] == "exam":
                yield _config(name, family, code, as_text=True)


def _config(name: str, family: Family, code: str, as_text: bool = False) -> Config:
    kind: str = family["kind"]
    says = words()[code]
    template: str = {"quiz": "choice", "xcopa": "choice", "label": "choice", "exam": "letters"}.get(kind, kind)
    group = f"{name}_text" if as_text else name
    own = family["languages"][code]
    place = {"language": code, "name": own if isinstance(own, str) else "", "data": "{data}"}
    settings: Config = {
        "kind": kind,
        "files": [file.format(**place) for file in family["files"]],
        "shot_files": [file.format(**place) for file in family.get("shot_files", ())],
        "shots": family.get("shots", 0),
        "fetch": family.get("fetch", "").format(**place),
        "id_prefix": family.get("id_prefix", "").format(**place),
    }
    kept = ("columns", "gold_is", "labels", "header", "only", "beside", "faulty_share", "harmful", "harmless")
    settings |= {key: family[key] for key in kept if key in family}
    if "label_words" in family:
        settings["label_words"] = family["label_words"][code]
    config = _frame(f"{group}_{code}", group, code, "choice" if as_text else template, settings)
    config["doc_to_text"] = _prompt(kind, family, code, as_text)
    config["target_delimiter"] = says.get("space", " ")
    if kind in ANSWER_TOKENS:
        config["generation_kwargs"] = _generation(kind, code)
    if kind in EXAMS:
        config["description"] = says["exam"] + "\n\n"
    return config


def _safety(name: str, family: Family, code: str) -> Iterator[Config]:
    """What must be declined, and what must be answered, as tasks of their own: their figures are not of one kind."""
    for kind in ("harmful", "harmless") if "label" in family["columns"] else ("harmful",):
        config = _config(name, family, code)
        config["task"] += "" if kind == "harmful" else "_harmless"
        settings: Config = config["dataset_kwargs"]
        settings["prompt_kind"] = kind
        for key in ("columns", "only"):
            found = family.get(key, {}).items()
            settings[key] = {k: v.format(language=code) if isinstance(v, str) else v for k, v in found}
        config["metric_list"] = [
            *({"metric": metric, "aggregation": "mean", "higher_is_better": True} for metric in METRICS[kind]),
            {"metric": ANSWER, "aggregation": "bypass", "higher_is_better": True},
        ]
        yield config


def _generation(kind: str, code: str) -> Config:
    """How an answer in a language is written: greedily, to the end of its line; some kinds have many lines."""
    longest = ANSWER_TOKENS[kind] * (1 if load_language(code).spaced else UNSPACED_FACTOR)
    return {"until": [] if kind in MANY_LINES else ["\n"], "do_sample": False, "max_gen_toks": longest}


def _frame(task: str, group: str, code: str, template: str, settings: Config) -> Config:
    return {
        "include": str(TASK_FOLDER / f"_{template}.yaml"),
        "task": PREFIX + task,
        "tag": PREFIX + group,
        "num_fewshot": settings["shots"],
        "dataset_kwargs": settings,
        "metadata": {"version": 1.0, "task": group, "language": code},
    }


def _prompt(kind: str, family: Family, code: str, as_text: bool) -> str:
    """The prompt of a question as a template, in the language of the task."""
    says: dict[str, str] = words()[code]
    if kind == "quiz":
        return "{{question}}"
    if kind == "xcopa":
        cause: str
        effect: str
        cause, effect = family["languages"][code]
        return (
            "{{premise}}" + says.get("space", " ") + "{{'" + cause + "' if question == 'cause' else '" + effect + "'}}"
        )
    if kind in EXAMS:
        options = "" if as_text else "{{options}}\n"
        return (
            "{% if passage %}{{passage}}\n\n{% endif %}"
            + says["question"]
            + "{{question}}\n"
            + options
            + says["answer"]
        )
    if kind == "span":
        return "{{context}}\n\n" + says["question"] + "{{question}}\n" + says["answer"]
    if kind == "label":
        word: str = family["word"]
        return "{{text}}\n" + says[word]
    if kind == "safety":
        return "{{text}}"
    return {"sums": "{{question}}\n" + says.get("steps", ""), "summary": "{{text}}\n\n" + says.get("summary", "")}[kind]


def _translations(name: str, family: Family) -> Iterator[Config]:
    """All directions: to and from English in the group of the benchmark's name, the others in `<name>_between`."""
    for source in family["languages"]:
        for target in family["languages"]:
            if source != target:
                yield _translation(name, family, source, target)


def _translation(name: str, family: Family, source: str, target: str) -> Config:
    # the instruction is in the language that is not English; between two others, in the one that is written
    says = words()[source if target == ENGLISH else target]
    names = [says["names"][ORDER.index(code)] for code in (source, target)]
    labels = [label[0].upper() + label[1:] for label in names]
    colon = says.get("colon", ": ")
    instruction = says["translate"].format(source=names[0], target=names[1])
    there, others = family["languages"], family.get("other_names", {})
    places = [{"language": c, "name": there[c], "other": others.get(c, there[c])} for c in (source, target)]
    settings = {
        "kind": "translation",
        "files": family["files"],
        "shot_files": family.get("shot_files", []),
        "shots": family["shots"],
        "fetch": family["fetch"],
        "source": places[0],
        "target": places[1],
    }
    if ENGLISH in (source, target):
        group, task = name, f"{name}_from_en" if source == ENGLISH else f"{name}_to_en"
    else:
        group, task = f"{name}_between", f"{name}_from_{source}"
    config = _frame(f"{name}_{source}_{target}", group, target, "translation", settings)
    config["metadata"] |= {"task": task, "language": source if target == ENGLISH else target}
    config["doc_to_text"] = f"{instruction}\n\n{labels[0]}{colon}{{{{source}}}}\n{labels[1]}{colon.strip()}"
    config["target_delimiter"] = says.get("space", " ")
    config["generation_kwargs"] = _generation("translation", target)
    return config


if __name__ == "__main__":
    write_task_files(Path(sys.argv[1]))
