"""One model on tasks, as the stage and the verb measure it."""

from collections.abc import Mapping
from typing import Any

from seallm.evaluate.harness import Limits, figures, score_task
from seallm.evaluate.safety_rates import ANSWER


def run_tasks(engine: Any, tasks: Mapping[str, Any], limits: Limits, chat: bool, seed: int) -> list[dict[str, Any]]:
    """Figures of one model."""
    scored = [row for name, task in tasks.items() for row in score_task(engine, name, task, limits, chat, seed)]
    return figures([row for row in scored if row["metric"] != ANSWER], dict(tasks), seed)
