"""Models, questions and a judge in, judged answers out: files of answers and verdicts, and all figures of the report.

    OUT/answers/<model>.jsonl    {question_id, language, category, answers}: what was judged; may be given as a MODEL
    OUT/verdicts.jsonl           one row a case, decided by the judge or by a rule
    OUT/report.json, .html       figures, agreement of the judge with itself, settings
    OUT/usage.json               what models and judge spent by language, all finished commands in this folder together
    OUT/kept/                    what models and judge were asked and said; used again by the next command

Nothing that is kept is computed or paid for twice, so a stopped command goes on where it stopped.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from seallm.base.artifacts import locked, versions
from seallm.base.errors import DataError
from seallm.base.files import read_json, write_json, write_json_lines, write_text
from seallm.base.runtime import Runtime, Task, progress
from seallm.base.sampling import SamplingSettings
from seallm.evaluate.judge_agreement import gold_figures, order_figures, read_gold, repeat_figures
from seallm.evaluate.judge_answers import OfModel, ask_all, read_answers
from seallm.evaluate.judge_cases import Answers, Identify, make_cases, wrong_languages
from seallm.evaluate.judge_figures import (
    language_rows,
    meeting_rows,
    score_differences,
    score_rows,
    shares_of_rules,
    win_rows,
)
from seallm.evaluate.judge_page import judge_page
from seallm.evaluate.judge_prompts import Mode
from seallm.evaluate.judge_questions import Question
from seallm.evaluate.judge_verdicts import Judge, Verdict, settled
from seallm.model.chat_models import ChatModel

SEED = 0  # of the bootstrap
Contestant = ChatModel | Path  # a path is a file of answers
Report = dict[str, Any]


@dataclass(frozen=True)
class JudgeSettings:
    """How answers are judged.

    Attributes:
        mode: a score for each answer, or which of two is better.
        repeats: how often the judge is asked the same.
        against: compare all models with this one alone; None: all pairs.
        max_answer_tokens: longest answer of a model.
        check_language: apply the rule that an answer must be in the question's language.
        both_orders: ask about every pair in both orders.
    """

    mode: Mode = "score"
    repeats: int = 1
    against: str | None = None
    max_answer_tokens: int = 512
    check_language: bool = True
    both_orders: bool = True

    @property
    def sampling(self) -> SamplingSettings:
        """How models answer: their likeliest words."""
        return SamplingSettings(self.max_answer_tokens, temperature=0.0)


@dataclass(frozen=True)
class Contest:
    """Who is judged by whom on what.

    Attributes:
        contestants: models, or files of answers, by the name in the report.
        judge: who decides what no rule decides.
        questions: what is asked.
        settings: how.
        identify: languages of texts.
        gold: file of right verdicts to compare the judge with.
        about: more settings to put into the report: places of questions, models and judge.
    """

    contestants: Mapping[str, Contestant]
    judge: Judge
    questions: Sequence[Question]
    settings: JudgeSettings
    identify: Identify
    gold: Path | None = None
    about: Mapping[str, Any] = field(default_factory=dict)


def check_contestants(names: Sequence[str], settings: JudgeSettings) -> None:
    """Before anything costs time.

    Raises:
        DataError: there are too few models for the mode, or `against` is none of them.
    """
    if settings.mode == "pairwise" and len(names) < 2:
        raise DataError("Comparing needs two models; give another MODEL, or --mode score")
    if settings.against is not None and settings.against not in names:
        raise DataError(f"--against {settings.against}: there is no such model; these are {', '.join(names)}")


def judge_models(contest: Contest, out: Path, runtime: Runtime, *, with_usage: bool = True) -> Report:
    """Let models answer, have the answers judged, and write everything.

    Args:
        contest: who and what.
        out: folder, made where it is missing.
        runtime: for the display.
        with_usage: write `usage.json`, and the page that shows it: both depend on how often the command was given.

    Raises:
        DataError: a file is malformed, or does not fit the questions.
        EndpointError: a server does not answer.
        ModelError: a model cannot be loaded.
    """
    settings, questions, judge = contest.settings, contest.questions, contest.judge
    check_contestants(list(contest.contestants), settings)
    gold = read_gold(contest.gold, settings.mode) if contest.gold else None
    with locked(out):
        answers = collect_answers(contest.contestants, questions, settings, out, runtime)
        verdicts = decide_all(contest, answers, runtime)
        write_json_lines(out / "verdicts.jsonl", (verdict.row for verdict in verdicts))
        report = {
            "judge": judge.name,
            "settings": {**asdict(settings), **contest.about, "questions_asked": len(questions), "seed": SEED},
            "models": list(contest.contestants),
            "languages": list(dict.fromkeys(question.language for question in questions)),
            "categories": list(dict.fromkeys(question.category for question in questions)),
            **figures(verdicts, settings.mode),
            "agreement": {
                "orders": order_figures(verdicts, SEED) if settings.mode == "pairwise" else None,
                "repeats": repeat_figures(verdicts, settings.mode, SEED),
                "gold": None if gold is None else gold_figures(verdicts, gold, settings.mode, SEED),
            },
            "examples": examples(questions, answers, verdicts),
            "versions": versions(),
        }
        write_json(out / "report.json", report)
        if with_usage:
            usage = add_usage(out / "usage.json", usage_rows(contest.contestants, judge))
            write_text(out / "report.html", judge_page(report, usage))
    return report


def collect_answers(
    contestants: Mapping[str, Contestant],
    questions: Sequence[Question],
    settings: JudgeSettings,
    out: Path,
    runtime: Runtime,
) -> Answers:
    """Answers of all models; each model's are written to a file when they are complete."""
    files = {name: read_answers(c, questions) for name, c in contestants.items() if isinstance(c, Path)}
    turns = sum(len(question.turns) for question in questions)
    asked = [name for name in contestants if name not in files]
    found: dict[str, OfModel] = {}
    with progress("answers", turns * len(asked), runtime) as task:
        for name, contestant in contestants.items():
            if isinstance(contestant, Path):
                found[name] = files[name]
            else:
                found[name] = ask_all(contestant, questions, settings.sampling, _mover(task, name))
            rows = (
                {
                    "question_id": q.key.split(":", 1)[1],
                    "language": q.language,
                    "category": q.category,
                    "answers": list(found[name][q.key]),
                }
                for q in questions
            )
            write_json_lines(out / "answers" / f"{file_name(name)}.jsonl", rows)
    return found


def decide_all(contest: Contest, answers: Answers, runtime: Runtime) -> list[Verdict]:
    """A verdict on every case, by a rule or by the judge."""
    settings, judge = contest.settings, contest.judge
    wrong = wrong_languages(contest.questions, answers, contest.identify) if settings.check_language else set()
    cases = make_cases(
        settings.mode,
        contest.questions,
        answers,
        wrong,
        repeats=settings.repeats,
        against=settings.against,
        both_orders=settings.both_orders,
    )
    found: list[Verdict | None] = list(settled(cases))
    open_places = [place for place, verdict in enumerate(found) if verdict is None]
    with progress("judge", len(open_places), runtime) as task:
        decided = judge.decide([cases[place] for place in open_places], _mover(task, judge.name))
    for place, verdict in zip(open_places, decided, strict=True):
        found[place] = verdict
    return [verdict for verdict in found if verdict is not None]


def _mover(task: Task, note: str) -> Any:
    return lambda amount: task.advance(amount, note)


def file_name(model: str) -> str:
    """A model's name as the name of a file."""
    return "".join(c if c.isalnum() or c in "-_.#" else "." for c in model)


def figures(verdicts: Sequence[Verdict], mode: Mode) -> Report:
    """What the verdicts say of the models; lists of the other mode are empty."""
    is_score = mode == "score"
    return {
        "scores": score_rows(verdicts, SEED) if is_score else [],
        "differences": score_differences(verdicts, SEED) if is_score else [],
        "wrong_language": language_rows(verdicts, SEED) if is_score else [],
        "wins": [] if is_score else win_rows(verdicts, SEED),
        "meetings": [] if is_score else meeting_rows(verdicts, SEED),
        "decided": dict(shares_of_rules(verdicts)),
    }


def usage_rows(contestants: Mapping[str, Contestant], judge: Judge) -> dict[str, list[Report]]:
    """What this command spent on every model and on the judge, by language."""
    found = {f"answers of {n}": m.meter.rows() for n, m in contestants.items() if not isinstance(m, Path)}
    return {**found, f"judge {judge.name}": judge.meter.rows()}


def add_usage(path: Path, spent: Mapping[str, list[Report]]) -> dict[str, list[Report]]:
    """Add to what earlier commands spent in this folder, write it, and return it; `reused` is this command's alone."""
    before: dict[str, list[Report]] = read_json(path) if path.is_file() else {}
    whole: dict[str, list[Report]] = dict(before)
    for who, rows in spent.items():
        known = {row["language"]: row for row in before.get(who, [])}
        new = {row["language"]: row for row in rows}
        whole[who] = [_sum(known.get(code), new.get(code)) for code in sorted({*known, *new}, key=_total_last)]
    write_json(path, whole)
    return whole


def _total_last(code: str) -> tuple[bool, str]:
    return code == "all", code


def _sum(before: Report | None, now: Report | None) -> Report:
    if before is None or now is None:
        found = before or now
        assert found is not None
        return found
    return {key: v if key in ("language", "reused") else before[key] + v for key, v in now.items()}


def examples(questions: Sequence[Question], answers: Answers, verdicts: Sequence[Verdict]) -> list[dict[str, Any]]:
    """The first question of each language and category but safety, whose questions ask for harm, with all answers."""
    chosen: dict[tuple[str, str], Question] = {}
    for question in questions:
        if question.category != "safety" and question.expects is None:
            chosen.setdefault((question.language, question.category), question)
    said: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for verdict in verdicts:
        said.setdefault((verdict.case.question.key, verdict.case.turn), []).append(verdict.row)
    return [
        {
            "question": q.key,
            "language": q.language,
            "category": q.category,
            "prompt": q.turns[0],
            "answers": [{"model": name, "text": of[q.key][0]} for name, of in answers.items()],
            "verdicts": [
                {key: row.get(key) for key in ("models", "value", "rule", "said")} for row in said.get((q.key, 0), [])
            ],
        }
        for q in chosen.values()
    ]
