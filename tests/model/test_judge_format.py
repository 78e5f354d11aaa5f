"""Judging prompts: short, order-symmetric, with verdicts that one token decides."""

from transformers import LlamaForCausalLM

from seallm.base.records import Message
from seallm.model.chat_format import ChatFormat
from seallm.model.judge_format import VERDICTS, judge_messages, judging_exercise, verdict_requests
from seallm.model.scoring import continuation_log_likelihoods

CRITERIA = "helpful, correct, safe, and in the language of the question"


def test_verdict_ids_stand_where_training_puts_them(any_format: ChatFormat) -> None:
    for better_first in (True, False):
        exercise = judging_exercise("2 + 3?", " 5", "6 ", CRITERIA, better_first=better_first)
        encoded = any_format.encode(exercise)
        answers = ("5", "6") if better_first else ("6", "5")
        requests = verdict_requests(any_format, judge_messages("2 + 3?", *answers, CRITERIA))
        prefix, verdict = requests[0 if better_first else 1]
        assert prefix + verdict + [any_format.end_id] == encoded.ids
        supervised = [i for i, s in zip(encoded.ids, encoded.supervised, strict=True) if s]
        assert supervised == [*verdict, any_format.end_id]
        assert exercise[-1] == Message("assistant", VERDICTS[0 if better_first else 1])


def test_verdicts_differ_in_one_token(any_format: ChatFormat) -> None:
    (_, first), (_, second) = verdict_requests(any_format, judge_messages("Hi", "a", "b", CRITERIA))
    assert len(first) == len(second) == 1
    assert first != second


def test_both_orders_share_all_but_the_answers(chat_format: ChatFormat) -> None:
    (one,), (other,) = judge_messages("Why?", "So.", "No.", CRITERIA), judge_messages("Why?", "No.", "So.", CRITERIA)
    start = one.content.index("So.")
    assert one.content[:start] == other.content[:start]
    frame = one.content.replace("Why?", "").replace("So.", "").replace("No.", "")
    assert len(frame) < 130


def test_judging_needs_one_prefix_for_both_verdicts(chat_format: ChatFormat, model: LlamaForCausalLM) -> None:
    requests = verdict_requests(chat_format, judge_messages("Why?", "So.", "No.", CRITERIA))
    first, second = continuation_log_likelihoods(model, requests, 1_000)
    assert first.sum != second.sum
    assert max(first.sum, second.sum) < 0
