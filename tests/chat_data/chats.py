"""Small conversations of real sentences, and files of them."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from seallm.base.records import Conversation, Message

ENGLISH = "Boil the water first, then add the noodles and wait for three minutes before you serve them."
THAI = "ต้มน้ำก่อน แล้วใส่เส้นก๋วยเตี๋ยว รอสามนาทีก่อนเสิร์ฟ"
VIETNAMESE = "Đun nước sôi trước, sau đó cho mì vào và chờ ba phút rồi mới dọn ra cho khách."


def chat_row(question: str, answer: str, language: str, **labels: str) -> dict[str, Any]:
    """A row of our own format."""
    messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return {"messages": messages, "language": language, **labels}


def chat(question: str, answer: str, language: str, **labels: str) -> Conversation:
    """A conversation of one round."""
    return Conversation((Message("user", question), Message("assistant", answer)), language, **labels)


def write_lines(path: Path, rows: Iterable[object]) -> Path:
    """Write a file of JSON lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def numbered_rows(count: int) -> list[dict[str, Any]]:
    """Different conversations in three languages and four categories; one in four without a category of its own."""
    texts = {"en": ENGLISH, "th": THAI, "vi": VIETNAMESE}
    rows = []
    for n in range(count):
        language = "en" if n % 2 else ("th", "vi")[n // 2 % 2]
        category = ("", "safety", "math-logic", "natural-dialogue")[n // 4 % 4]
        words = " ".join(f"w{(n * 31 + k * 7) % 997}" for k in range(6)) if language != "th" else str(n)
        answer = f"{texts[language]} {words} {n}"
        rows.append(chat_row(f"{texts[language][:40]} {n}?", answer, language, category=category, licence="CC0-1.0"))
    return rows
