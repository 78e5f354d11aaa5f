"""Models and questions in, their answers turn by turn out; or answers that were made elsewhere, from a file.

Files of answers: MT-bench's layout, {question_id, choices: [{turns}]}; rows {question_id, answers} or {question_id,
answer}; and Sea-bench's own question file, whose `chatgpt_response` is an answer.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from seallm.base.errors import DataError
from seallm.base.records import Message
from seallm.base.sampling import SamplingSettings
from seallm.evaluate.judge_questions import Question, row_language, rows
from seallm.model.chat_models import ChatAnswer, ChatModel
from seallm.model.chat_models import Question as ChatQuestion

OfModel = dict[str, tuple[str, ...]]
OnDone = Callable[[int], object]


def conversation(question: Question, answers: Sequence[str]) -> tuple[Message, ...]:
    """The conversation whose next turn is the assistant's, after so many answers."""
    messages = []
    for asked, answered in zip(question.turns, answers, strict=False):
        messages += [Message("user", asked), Message("assistant", answered)]
    return (*messages, Message("user", question.turns[len(answers)]))


def ask_all(model: ChatModel, questions: Sequence[Question], sampling: SamplingSettings, on_done: OnDone) -> OfModel:
    """All answers of one model, by key of the question; an answer that failed is empty.

    Raises:
        EndpointError: its server does not answer.
        ModelError: it cannot be loaded.
    """
    answers: dict[str, list[str]] = {question.key: [] for question in questions}

    def told(number: int, answer: ChatAnswer) -> None:
        on_done(1)

    for turn in range(max(len(question.turns) for question in questions)):
        going = [question for question in questions if len(question.turns) > turn]
        asked = [ChatQuestion(conversation(q, answers[q.key]), q.language) for q in going]
        for question, answer in zip(going, model.answer(asked, sampling, on_answer=told), strict=True):
            answers[question.key].append(answer.text.strip())
    return {key: tuple(texts) for key, texts in answers.items()}


def read_answers(path: Path, questions: Sequence[Question]) -> OfModel:
    """Answers of a file to these questions.

    Raises:
        DataError: a row is malformed, or a question has no answer, or not one for each turn.
    """
    by_number: dict[str, list[Question]] = {}
    for question in questions:
        by_number.setdefault(question.key.split(":", 1)[1], []).append(question)
    found: OfModel = {}
    for where, row in rows(path):
        texts = _texts(row, where)
        for question in by_number.get(str(row["question_id"]), ()):
            if row_language(row, question.language) == question.language:
                found[question.key] = texts
    for question in questions:
        if len(found.get(question.key, ())) < len(question.turns):
            raise DataError(
                f"{path}: question {question.key} has {len(question.turns)} turns, and "
                f"{len(found.get(question.key, ()))} answers in the file; every question needs an answer to each turn"
            )
    return found


def _texts(row: Mapping[str, object], where: str) -> tuple[str, ...]:
    choices = row.get("choices")
    texts: object = None
    if isinstance(choices, list) and choices and isinstance(choices[0], dict):
        texts = choices[0].get("turns")
    for key in ("answers", "answer", "chatgpt_response"):
        texts = row.get(key) if texts is None else texts
    texts = [texts] if isinstance(texts, str) else texts
    if "question_id" not in row or not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise DataError(f"{where}: expected question_id and answers, answer, chatgpt_response or choices with turns")
    return tuple(text.strip() for text in texts)
