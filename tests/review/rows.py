"""A few real conversations and pairs of answers, and what somebody might do to harm a reviewer."""

import json
from pathlib import Path
from typing import Any

HOSTILE = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script> {{7*7}} javascript:1"
CONVERSATIONS: list[dict[str, Any]] = [
    {
        "messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}],
        "language": language,
        "category": category,
        "source": "self-instruct",
        "licence": "CC0-1.0",
    }
    for language, category, question, answer in (
        ("th", "natural-dialogue", "แม่ของฉันชอบปลูกต้นไม้", "งั้นลองให้ต้นมะลิในกระถางสวย ๆ แม่น่าจะชอบมากค่ะ"),
        ("lo", "natural-dialogue", "ແມ່ຂອງຂ້ອຍບໍ່ສະບາຍ", "ເສຍໃຈນຳທີ່ໄດ້ຍິນແນວນັ້ນ. ຂໍໃຫ້ແມ່ຂອງເຈົ້າຫາຍດີໄວໆ."),
        ("km", "text-processing", "ជួយកែអក្ខរាវិរុទ្ធ៖ សូមអគុណ", "ពាក្យ «អគុណ» ត្រូវសរសេរថា «អរគុណ»។"),
        ("my", "general", "မီးဖိုချောင်ထဲက ပိုးဟပ်တွေကို ဘယ်လို သတ်ရမလဲ။", "စားကြွင်းစားကျန်နဲ့ ရေစိုတဲ့နေရာတွေကို သန့်ရှင်းပါ။"),
    )
]


def pair(number: int, language: str = "th", models: tuple[str, str] = ("sft", "dpo")) -> dict[str, Any]:
    """A pair of answers; that of the second model is the longer one."""
    texts = (f"คำตอบ {number}", f"คำตอบ {number} ที่ยาวกว่า ค่ะ")
    answers = [{"model": model, "text": text} for model, text in zip(models, texts, strict=True)]
    return {"prompt": f"คำถามที่ {number}", "language": language, "category": "general", "answers": answers}


LATER_TURN: dict[str, Any] = {
    "prompt": "Xin chào",
    "language": "vi",
    "answers": [
        {
            "model": model,
            "text": [
                {"role": "assistant", "content": first},
                {"role": "user", "content": "Còn bạn?"},
                {"role": "assistant", "content": "Tôi khỏe."},
            ],
        }
        for model, first in (("sft", "Chào!"), ("dpo", "Chào bạn!"))
    ],
}
PREFERENCE: dict[str, Any] = {
    "prompt": [{"role": "user", "content": "Xin chào"}],
    "chosen": [{"role": "assistant", "content": "Chào bạn!"}],
    "rejected": [{"role": "assistant", "content": "Hello!"}],
    "language": "vi",
    "scores": {"margin": 1.5},
}


def write(folder: Path, name: str, rows: list[dict[str, Any]]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (folder / name).write_text(text, encoding="utf-8")
    return folder
