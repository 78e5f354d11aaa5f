"""How the model is asked which of two answers is better; the same words in training exercises and in judging.

The verdict is the single letter A or B, so that its likelihood is read from one position and nothing is generated. What
all judgements have in common stands first, then the question, then the answers: the shared prefix is computed once, and
the two orders of a pair differ only at the end. It is short, since a small model must hold it and both answers in 256
tokens. The paper (section on self-preferencing) does not publish its wording: this one is ours.
"""

from seallm.base.records import Message
from seallm.model.chat_format import ChatFormat

VERDICTS = ("A", "B")


def judge_messages(question: str, answer_a: str, answer_b: str, criteria: str) -> tuple[Message, ...]:
    """The judging prompt: one user turn that asks for the verdict "A" or "B"."""
    text = (
        f"Which answer is more {criteria}? Reply A or B.\n"
        f"Question: {question.strip()}\nA: {answer_a.strip()}\nB: {answer_b.strip()}"
    )
    return (Message("user", text),)


def judging_exercise(
    question: str, better: str, worse: str, criteria: str, *, better_first: bool
) -> tuple[Message, ...]:
    """A judging prompt with its right verdict, for supervised fine-tuning."""
    first, second = (better, worse) if better_first else (worse, better)
    verdict = VERDICTS[0] if better_first else VERDICTS[1]
    return (*judge_messages(question, first, second, criteria), Message("assistant", verdict))


def verdict_requests(
    chat_format: ChatFormat, messages: tuple[Message, ...]
) -> tuple[tuple[list[int], list[int]], tuple[list[int], list[int]]]:
    """The two requests (prefix ids, verdict ids) whose likelihoods decide a judgement, "A" first.

    The verdict's ids stand right after the prefix, as in training; their end of turn is left out, for it is common.
    """
    prefix = chat_format.prompt_ids(messages)
    first, second = (chat_format.answer_ids(verdict)[:-1] for verdict in VERDICTS)
    return (prefix, first), (prefix, second)
