"""Real conversations in, pairs of answers out of which one is known to be better.

    language    the answer, against an answer in another language
    polite      the answer with a courteous opening, against the same answer with a rude one
    corrupted   the answer, against the same answer with its words (without spaces: runs of characters) shuffled
    relevance   the answer, against the answer to another question in the same language

Answers are first sentences of the conversations in ../shared/data/chat. Pairs to learn from and pairs to test on have
no question in common, and the openings of `polite` differ between the two.
"""

import json
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from seallm.base.records import Message, Preference

CHAT = Path("../shared/data/chat")
LANGUAGES = ("en", "zh", "vi", "id", "th", "km")
SPACED = ("en", "vi", "id")
KINDS = ("language", "polite", "corrupted", "relevance")
MAX_QUESTION, MAX_ANSWER, MIN_ANSWER = 48, 72, 8  # tokens
_SENTENCE = re.compile(r"[^\n]+?(?:[.!?](?=\s|$)|[。!?។](?=.|$)|(?=\n|$))")
_RUN = 3  # characters moved together where no spaces stand between words
POLITE = {
    "en": ("Thank you for asking.", "With pleasure.", "Good question, thank you.", "I am happy to help."),
    "zh": ("感谢您的提问。", "很高兴为您解答。", "谢谢您，这是个好问题。", "乐意为您效劳。"),
    "vi": ("Cảm ơn bạn đã hỏi.", "Rất vui được giúp bạn.", "Câu hỏi rất hay, cảm ơn bạn.", "Tôi sẵn lòng trả lời bạn."),
    "id": ("Terima kasih atas pertanyaannya.", "Dengan senang hati.", "Pertanyaan yang bagus, terima kasih.",
           "Saya senang membantu Anda."),
    "th": ("ขอบคุณสำหรับคำถามค่ะ", "ยินดีช่วยเหลือครับ", "เป็นคำถามที่ดีมาก ขอบคุณค่ะ", "ด้วยความยินดีครับ"),
    "km": ("សូមអរគុណចំពោះសំណួរ។", "ខ្ញុំរីករាយនឹងជួយអ្នក។", "សំណួរល្អណាស់ សូមអរគុណ។", "ដោយក្តីរីករាយ។"),
}  # fmt: skip
RUDE = {
    "en": ("What a stupid question.", "Are you too lazy to look it up?", "You waste my time.", "Shut up and read."),
    "zh": ("真是个愚蠢的问题。", "你懒得自己查吗?", "你在浪费我的时间。", "闭嘴,看好了。"),
    "vi": ("Hỏi ngu thế.", "Lười đến mức không tự tra à?", "Mày làm mất thời gian của tao.", "Im đi mà đọc."),
    "id": ("Pertanyaan bodoh.", "Kamu malas mencari sendiri?", "Kamu membuang waktuku.", "Diam dan baca saja."),
    "th": ("ถามอะไรโง่ ๆ", "ขี้เกียจหาเองหรือไง", "เสียเวลากูจริง ๆ", "หุบปากแล้วอ่านไป"),
    "km": ("សំណួរល្ងង់ណាស់។", "ឯងខ្ជិលរកខ្លួនឯងមែនទេ?", "ឯងធ្វើឲ្យខាតពេលអញ។", "បិទមាត់ ហើយអានទៅ។"),
}  # fmt: skip


@dataclass(frozen=True)
class Known:
    """A question with a better and a worse answer."""

    kind: str
    language: str
    question: str
    better: str
    worse: str

    def preference(self) -> Preference:
        """As a record that DPO reads."""
        better, worse = ((Message("assistant", text),) for text in (self.better, self.worse))
        return Preference((Message("user", self.question),), better, worse, self.language)


def known_pairs(
    count_tokens: Callable[[str], int], train: int, test: int, seed: int = 0
) -> tuple[list[Known], list[Known]]:
    """Pairs to learn from and pairs to test on: so many questions a language, each in every kind.

    Args:
        count_tokens: length of a text.
        train: questions a language to learn from, where it has so many.
        test: questions a language to test on.
        seed: decides which questions.
    """
    chosen = {code: _questions(code, count_tokens, train + test, seed) for code in LANGUAGES}
    parts: tuple[list[Known], list[Known]] = ([], [])
    for code, rows in chosen.items():
        for part, own, openings in ((parts[1], rows[:test], slice(2, 4)), (parts[0], rows[test:], slice(0, 2))):
            others = {other: chosen[other][: len(own)] for other in LANGUAGES if other != code}
            part += _pairs(code, own, others, openings, random.Random(f"{seed} {code}"))
    return parts


def _questions(code: str, count_tokens: Callable[[str], int], count: int, seed: int) -> list[tuple[str, str]]:
    found: dict[str, str] = {}
    for line in (CHAT / f"{code}.jsonl").read_text(encoding="utf-8").splitlines():
        turns = [m["content"].strip() for m in json.loads(line)["messages"] if m["role"] != "system"]
        sentence = _SENTENCE.match(turns[1])
        answer = sentence[0].strip() if sentence else ""
        fits = count_tokens(turns[0]) <= MAX_QUESTION and MIN_ANSWER <= count_tokens(answer) <= MAX_ANSWER
        if fits and len(answer) > 4 * _RUN and turns[0] not in found:
            found[turns[0]] = answer
    rows = sorted(found.items())
    random.Random(f"{seed} {code} questions").shuffle(rows)
    return rows[:count]


def _pairs(
    code: str,
    rows: Sequence[tuple[str, str]],
    others: dict[str, list[tuple[str, str]]],
    openings: slice,
    choose: random.Random,
) -> list[Known]:
    found = []
    for number, (question, answer) in enumerate(rows):
        foreign = choose.choice(others[choose.choice(sorted(others))])[1]
        polite, rude = (choose.choice(table[code][openings]) for table in (POLITE, RUDE))
        same = rows[(number + 1) % len(rows)][1]
        worse = {
            "language": (answer, foreign),
            "polite": (f"{polite} {answer}", f"{rude} {answer}"),
            "corrupted": (answer, shuffled(answer, code, choose)),
            "relevance": (answer, same),
        }
        found += [Known(kind, code, question, *pair) for kind, pair in worse.items() if pair[0] != pair[1]]
    return found


def shuffled(text: str, code: str, choose: random.Random) -> str:
    """The text with its words, or runs of characters where there are no spaces, in another order."""
    units = text.split() if code in SPACED else [text[i : i + _RUN] for i in range(0, len(text), _RUN)]
    order = list(units)
    for _ in range(10):
        choose.shuffle(order)
        if order != units:
            break
    return (" " if code in SPACED else "").join(order)
