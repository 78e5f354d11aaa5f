"""Finished parts of safety tasks in; prompts with what was answered out, for a judge, or for whoever asks to see them.

Parts store answers without prompts; the prompts are in the tasks' data. Nothing here goes into a report by itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from seallm.evaluate.harness import Tasks
from seallm.evaluate.safety_rates import ANSWER, SafetyPrompt, prompt_mark, prompt_of, wording_verdict

Row = dict[str, Any]


@dataclass(frozen=True)
class Answered:
    """A prompt of a benchmark, and a model's answer to it."""

    model: str
    task: str
    prompt: SafetyPrompt
    answer: str

    def row(self) -> Row:
        """With the prompt and the rules' verdict: for a report only on wish."""
        return {
            "model": self.model,
            "task": self.task,
            "language": self.prompt.language,
            "kind": self.prompt.kind,
            "prompt": self.prompt.text,
            "answer": self.answer,
            "verdict": wording_verdict(self.answer, self.prompt),
        }


def is_safety(task: Any) -> bool:
    """True for a task that keeps answers to harmful requests and their harmless look-alikes."""
    return any(metric["metric"] == ANSWER for metric in task.config.metric_list or ())


def answered(model: str, scored: Sequence[Mapping[str, Any]], tasks: Tasks) -> list[Answered]:
    """What a model answered to the prompts of safety tasks.

    Args:
        model: its name.
        scored: rows of `score_task`, of any tasks.
        tasks: by name.
    """
    found: list[Answered] = []
    for row in scored:
        if row["metric"] == ANSWER:
            prompts = {prompt_mark(p): p for p in map(prompt_of, tasks[row["name"]].eval_docs)}
            found += [Answered(model, row["task"], prompts[mark], answer) for mark, answer in row["values"]]
    return found
