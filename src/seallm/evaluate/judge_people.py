"""Cases in, pairs of answers that people compare out; what they said in, verdicts out.

The folder is one that `seallm review` opens, and what it exports is read back: people are a judge like any other. They
see the answers without names, in an order drawn for each of them, so that each pair is asked once in this file. Each
annotator counts as one repeat: their agreement with each other is the judge's agreement with itself.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seallm.base.errors import DataError
from seallm.base.files import write_json_lines
from seallm.endpoints.metering import Meter
from seallm.evaluate.judge_answers import conversation
from seallm.evaluate.judge_cases import Case
from seallm.evaluate.judge_questions import rows
from seallm.evaluate.judge_verdicts import OnDone, Verdict

PAIRS = "pairs.jsonl"
Place = tuple[str, frozenset[str]]


def place_of(case: Case) -> str:
    """What a question and turn are called in the folder: `th:12`, and `th:12 turn 2`."""
    return case.question.key if case.turn == 0 else f"{case.question.key} turn {case.turn + 1}"


def write_pairs(folder: Path, cases: Sequence[Case]) -> int:
    """Write what no rule decides as `pairs.jsonl`; returns how many."""
    open_cases = [case for case in cases if case.rule is None and case.repeat == 0]
    write_json_lines(folder / PAIRS, (_pair(case) for case in open_cases))
    return len(open_cases)


def _pair(case: Case) -> dict[str, Any]:
    first, second = case.answers
    # of a later turn both conversations are shown whole, as the answers before it differ
    prompt = [{"role": m.role, "content": m.content} for m in conversation(case.question, ())]
    texts: list[object] = [answers[-1] for answers in (first, second)]
    if case.turn:
        texts = [_rest(case, answers) for answers in (first, second)]
    return {
        "question": place_of(case),
        "language": case.question.language,
        "category": case.question.category,
        "prompt": prompt,
        "answers": [{"model": model, "text": text} for model, text in zip(case.models, texts, strict=True)],
    }


def _rest(case: Case, answers: Sequence[str]) -> list[dict[str, str]]:
    """The conversation after the first question."""
    found = [{"role": "assistant", "content": answers[0]}]
    for turn in range(1, case.turn + 1):
        found += [
            {"role": "user", "content": case.question.turns[turn]},
            {"role": "assistant", "content": answers[turn]},
        ]
    return found


class People:
    """Those who judged in the review workbench.

    Args:
        export: its `judgements.jsonl`.

    Attributes:
        repeats: most annotators that judged the same pair.

    Raises:
        DataError: the file is malformed, or nobody compared anything.
    """

    name = "people"

    def __init__(self, export: Path) -> None:
        self.meter = Meter()
        self._said: dict[Place, list[tuple[str, str, str]]] = {}
        for where, row in rows(export):
            if row.get("kind") != "comparison":
                continue
            models, question = row.get("models"), row.get("question")
            if not isinstance(models, list) or len(models) != 2 or not isinstance(question, str):
                raise DataError(f"{where}: expected question and two models, as `seallm review` exports them")
            said = (str(row.get("annotator")), str(row.get("preferred") or ""), str(row.get("note") or ""))
            self._said.setdefault((question, frozenset(map(str, models))), []).append(said)
        if not self._said:
            raise DataError(f"{export} has no comparison; let people compare the pairs first, and export again")
        self.repeats = max(len(said) for said in self._said.values())

    def decide(self, cases: Sequence[Case], on_done: OnDone) -> list[Verdict | None]:
        """As `Judge.decide`: the k-th repeat is the k-th annotator by name; None where nobody has judged a case yet."""
        return [self._verdict(case) for case in cases]

    def _verdict(self, case: Case) -> Verdict | None:
        said = sorted(self._said.get((place_of(case), frozenset(case.models)), ()))
        if case.repeat >= len(said):
            return None
        _, preferred, note = said[case.repeat]
        value = "AB"[case.models.index(preferred)] if preferred in case.models else "C"
        return Verdict(case, value, said=note)
