"""Models, questions and a judge in, what answering and judging will cost at most out, by language, before it starts.

Tokens are guessed without a tokenizer, rather too many. Answers that are kept on disk cost nothing again; the judge's
questions are counted as if none were.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from seallm.endpoints.metering import Price, Usage, estimated_tokens
from seallm.evaluate.judge import Contestant, JudgeSettings
from seallm.evaluate.judge_answers import conversation, read_answers
from seallm.evaluate.judge_cases import make_cases
from seallm.evaluate.judge_questions import Question
from seallm.evaluate.judge_verdicts import prompt_of
from seallm.model.chat_models import ChatModel
from seallm.model.chat_models import Question as ChatQuestion

Row = dict[str, Any]


def estimate(
    contestants: Mapping[str, Contestant],
    questions: Sequence[Question],
    settings: JudgeSettings,
    *,
    judge_writes: int,
    price: Price,
) -> list[Row]:
    """Rows {language, answers, verdicts, answer_tokens, judge_tokens, cost}, a language each and `all`.

    Args:
        contestants: models and files of answers.
        questions: what is asked.
        settings: how.
        judge_writes: tokens of a verdict; 0 where likelihoods are read.
        price: of the judge's tokens.

    Raises:
        DataError: a file of answers does not fit.
    """
    rows: dict[str, Row] = {
        code: {"language": code, "answers": 0, "verdicts": 0, "answer_tokens": 0, "judge": Usage()}
        for code in dict.fromkeys(question.language for question in questions)
    }
    answers: dict[str, dict[str, tuple[str, ...]]] = {}
    for name, contestant in contestants.items():
        if isinstance(contestant, Path):
            answers[name] = read_answers(contestant, questions)
        else:
            answers[name] = _foreseen(contestant, questions, settings, rows)
    for case in make_cases(
        settings.mode, questions, answers, set(), repeats=settings.repeats, against=settings.against
    ):
        row = rows[case.question.language]
        row["verdicts"] += 1
        asked = sum(estimated_tokens(message.content) for message in prompt_of(case, prose=judge_writes > 0))
        row["judge"].add(Usage(calls=1, question_tokens=asked, answer_tokens=judge_writes))
    return _finished(list(rows.values()), price)


def _foreseen(
    model: ChatModel, questions: Sequence[Question], settings: JudgeSettings, rows: Mapping[str, Row]
) -> dict[str, tuple[str, ...]]:
    """Answers that are kept, and texts as long as an answer may be where none is; counts the tokens of the latter."""
    made: dict[str, tuple[str, ...]] = {}
    for question in questions:
        texts: list[str] = []
        for turn in range(len(question.turns)):
            messages = conversation(question, texts)
            (kept,) = model.kept([ChatQuestion(messages, question.language)], settings.sampling)
            if kept is None:
                row = rows[question.language]
                row["answers"] += 1
                row["answer_tokens"] += sum(estimated_tokens(m.content) for m in messages) + settings.max_answer_tokens
                # as many characters of another script as there may be tokens; names keep two models' texts apart
                texts.append(f"{model.name} {turn} " + "\u0e01" * settings.max_answer_tokens)
            else:
                texts.append(kept.text)
        made[question.key] = tuple(texts)
    return made


def _finished(rows: Sequence[Row], price: Price) -> list[Row]:
    """With the total, and the judge's usage as tokens and money."""
    total: Row = {"language": "all", "answers": 0, "verdicts": 0, "answer_tokens": 0, "judge": Usage()}
    for row in rows:
        for key in ("answers", "verdicts", "answer_tokens"):
            total[key] += row[key]
        total["judge"].add(row["judge"])
    return [
        {
            **{key: row[key] for key in ("language", "answers", "verdicts", "answer_tokens")},
            "judge_tokens": row["judge"].question_tokens + row["judge"].answer_tokens,
            "cost": round(row["judge"].cost(price), 4),
        }
        for row in (*rows, total)
    ]
