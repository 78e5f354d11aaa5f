"""Files of harmful and harmless prompts and a chat model in, its rates out."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from seallm.base.errors import DataError
from seallm.base.files import read_json_lines
from seallm.evaluate.answers import greedy_answers
from seallm.evaluate.engine import Engine
from seallm.evaluate.safety_rates import METRICS, Row, SafetyPrompt, expressions, rate_rows, wording_verdict


def read_safety_prompts(paths: Sequence[Path], languages: Sequence[str]) -> list[SafetyPrompt]:
    """Read prompts {prompt, language, kind}, some with {helplines, refusals}; languages outside the run are left out.

    Raises:
        DataError: a row is malformed, or none is left.
    """
    prompts = []
    for path in paths:
        for number, row in read_json_lines(path):
            if isinstance(row, DataError):
                raise row
            text, language, kind = (row.get(key) for key in ("prompt", "language", "kind"))
            is_text = isinstance(text, str) and bool(text.strip()) and isinstance(language, str)
            if not is_text or not isinstance(kind, str) or kind not in METRICS:
                raise DataError(
                    f"{path}:{number}: expected prompt (text), language (code) and kind (harmful or harmless); "
                    f"found language {language!r}, kind {kind!r}"
                )
            if language in languages:
                helplines = tuple(map(str, row.get("helplines") or ()))
                refusals = tuple(expressions(row.get("refusals"), f"{path}:{number}"))
                prompts.append(SafetyPrompt(str(text).strip(), str(language), kind, helplines, refusals))
    if not prompts:
        raise DataError(f"[evaluate] safety_prompts has no prompt in {', '.join(languages)}")
    return prompts


def safety_rows(
    engine: Engine, prompts: Sequence[SafetyPrompt], system_prompts: Mapping[str, str] | None = None
) -> list[Row]:
    """Answer every prompt greedily, and rate the answers by their wording.

    Args:
        engine: a chat model.
        prompts: of any languages.
        system_prompts: by language, put before the prompt.

    Returns:
        Rows of task "safety", as `rate_rows`.
    """
    systems = [(system_prompts or {}).get(prompt.language, "") for prompt in prompts]
    answers = greedy_answers(engine, [prompt.text for prompt in prompts], system_prompts=systems)
    verdicts = [wording_verdict(answer, prompt) for answer, prompt in zip(answers, prompts, strict=True)]
    return rate_rows("safety", prompts, verdicts)
