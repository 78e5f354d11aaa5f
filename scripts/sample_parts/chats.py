"""Public conversations of redistributable licence in, the short and fitting ones out."""

import random
import re
import unicodedata
from pathlib import Path

from sample_parts.sources import Row, Source, read_rows

MAX_TURN_CHARACTERS = 600
MAX_ENGLISH = 600
MAX_OTHER = 300
MAX_OF_ONE = {"en": 240, "zh": 120, "my": 160}  # small talk, proverbs: much of the same kind
MUCH_OF_ONE_KIND = ("chatterbot-corpus", "burmese-proverbs")
PACK_SOURCES = {
    "chatterbot-corpus": "chatterbot-corpus",
    "self-instruct-seed": "self-instruct",
    "self-instruct-user252": "self-instruct",
    "oasst1-human": "oasst1-human",
    "burmese-proverbs": "burmese-proverbs",
}
# Small talk of old chat robots holds insults, gossip about named people and worse, and torn sentences; left out.
UNFIT = re.compile(
    r"\b(sex\w*|fuck\w*|shit|bitch|bend over|naked|kill\w*|murder\w*|gossips?|hate|stupid|idiot|drugs?|cocaine|nazi|"
    r"hitler|rape\w*|die|dead|death|gun|bomb|suicide|drunk|bastard|damn|hell|slut|porn\w*|terror\w*|kawin|"
    r"bodoh|bunuh|mati|seks)\b"
    r"|性|蠢|笨蛋|白痴|杀|死|流言|交配|懦夫|ร่วมเพศ|ฆ่า|null|https?:|chatgpt|open ?assistant|soekarno|soeharto"
    r"|cộng sản|ทหาร|การเมือง|รัฐบาล|communis|ကုလား|alcoholic|addict|you are an?\b",
    re.IGNORECASE,
)
QUESTION = re.compile(
    r"[?？]$|^(what|who|where|when|why|how|which|do|does|can|are|is|tell|hi|hello|good|thank|nice)\b"
    r"|^(apa|siapa|bagaimana|kapan|kenapa|mengapa|berapa|di mana|bisakah|apakah|halo|hai|selamat)\b"
    r"|什么|吗|谁|哪|怎|如何|你好",
    re.IGNORECASE,
)
TEXT_TASK = re.compile(
    r"translat|summar|rewrite|correct|classif|categor|paraphras|extract|spelling|sentiment|แปล|สรุป|dịch", re.I
)
MATH_TASK = re.compile(r"\d\s*[-+*/=^]\s*\d|equation|calculat|probability|solve|python|code|formula|คำนวณ|toán", re.I)


def category_of(source: str, question: str) -> str:
    """A guess from the source and the words of the first question."""
    if source == "chatterbot-corpus":
        return "natural-dialogue"
    if source == "burmese-proverbs" or TEXT_TASK.search(question):
        return "text-processing"
    return "math-logic" if MATH_TASK.search(question) else "general-instruction"


def _fits(messages: list[Row]) -> bool:
    turns = [message["content"] for message in messages]
    roles = [message["role"] for message in messages]
    return (
        roles == ["user", "assistant"] * (len(roles) // 2)
        and all(len(turn.strip()) >= 2 and len(turn) < MAX_TURN_CHARACTERS for turn in turns)
        and not any(UNFIT.search(turn) for turn in turns)
    )


def public_conversations(data: Path, sources: dict[str, Source], rng: random.Random) -> list[Row]:
    """All languages after each other; self-instruct and human answers before the small talk of chat robots."""
    rows = []
    for language in ("en", "zh", "vi", "id", "th", "my"):
        candidates = []
        seen: set[str] = set()
        for row in read_rows(data / "chat" / f"{language}.jsonl"):
            name = PACK_SOURCES.get(row["source"])
            question = row["messages"][0]["content"]
            is_odd = row["source"] == "chatterbot-corpus" and not QUESTION.search(question.strip())
            if name and not is_odd and _fits(row["messages"]) and question not in seen:
                seen.add(question)
                candidates.append((name, row["messages"]))
        rng.shuffle(candidates)
        small_talk = [c for c in candidates if c[0] in MUCH_OF_ONE_KIND][: MAX_OF_ONE.get(language, MAX_OTHER)]
        others = [c for c in candidates if c[0] not in MUCH_OF_ONE_KIND]
        most = MAX_ENGLISH if language == "en" else MAX_OTHER
        for name, messages in (others + small_talk)[:most]:
            clean = [
                {"role": m["role"], "content": unicodedata.normalize("NFC", m["content"].strip())} for m in messages
            ]
            category = category_of(name, messages[0]["content"])
            labels = {"category": category, "source": name, "licence": sources[name].licence}
            rows.append({"messages": clean, "language": language, **labels})
    return rows
