"""The report counts what is there, shows the same samples for the same data, and escapes what texts hold."""

from pathlib import Path

import pytest

from seallm.base.errors import DataError
from seallm.base.files import read_json, write_json, write_json_lines
from seallm.base.records import write_conversations
from seallm.chat_data.data_report import read_figures, write_report
from tests.chat_data.chats import ENGLISH, THAI, chat, chat_row

ROWS = [
    chat("How <b>long</b>?", ENGLISH, "en", category="general-instruction", source="a", licence="mit"),
    chat("How long again?", ENGLISH, "en", category="safety", source="b"),
    chat("ต้มนานเท่าไร", THAI, "th", category="safety", source="a"),
]


def test_a_file_of_conversations(tmp_path: Path) -> None:
    write_conversations(tmp_path / "chat.jsonl", ROWS)
    table, page = write_report(tmp_path / "chat.jsonl", None, None)
    assert page == tmp_path / "chat.report" / "report.html"
    figures = read_json(tmp_path / "chat.report" / "report.json")
    english = figures["languages"]["en"]
    assert english["categories"] == {"general-instruction": 1, "safety": 1}
    assert english["sources"] == {"a": {"general-instruction": 1}, "b": {"safety": 1}}
    assert english["licences"] == {"mit": 1, "not given": 1}
    assert figures["languages"]["th"]["answers"]["sum"] == len(THAI)
    assert table.row_count == 2
    text = page.read_text(encoding="utf-8")
    assert "How &lt;b&gt;long&lt;/b&gt;?" in text
    assert "<b>long" not in text
    assert "http" not in text.replace("http-equiv", "")


def test_what_the_checks_dropped_is_shown_with_its_reason(tmp_path: Path) -> None:
    write_conversations(tmp_path / "sft.jsonl", ROWS[1:])
    write_conversations(tmp_path / "held_out.jsonl", ROWS[:1])
    write_json_lines(
        tmp_path / "dropped.jsonl",
        [{**chat_row("Q", THAI, "en"), "reason": "turn_language", "detail": "most are th", "where": "a.jsonl:7"}],
    )
    checks = {
        "conversations": 4,
        "preferences": 0,
        "quarantined": 0,
        "kept": 3,
        "dropped": {"turn_language": 1},
        "languages": {"en": {"kept": 2, "turn_language": 1}, "th": {"kept": 1}},
        "other_languages": {},
    }
    write_json(tmp_path / "checks.json", checks)
    figures = read_figures(tmp_path, None)
    assert figures["parts"] == ["sft", "held_out"]
    _, page = write_report(tmp_path, tmp_path / "out", None)
    text = page.read_text(encoding="utf-8")
    for words in ("most are th", "a.jsonl:7", "answer in another language", "fine-tuning", "held out"):
        assert words in text
    first = (tmp_path / "out" / "report.html").read_bytes()
    write_report(tmp_path, tmp_path / "out", None)
    assert (tmp_path / "out" / "report.html").read_bytes() == first


def test_lengths_in_tokens(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({"x": 0}, unk_token="x"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    write_conversations(tmp_path / "chat.jsonl", ROWS[:1])
    figures = read_figures(tmp_path / "chat.jsonl", tmp_path)
    assert figures["unit"] == "tokens"
    assert figures["languages"]["en"]["answers"]["sum"] == len(ENGLISH.split())
    with pytest.raises(DataError, match=r"has no tokenizer\.json"):
        read_figures(tmp_path / "chat.jsonl", tmp_path / "chat.jsonl" / "none")


def test_nothing_to_report(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("{}\n")
    with pytest.raises(DataError, match=r"holds no conversations \(1 bad rows\)"):
        read_figures(tmp_path / "a.jsonl", None)
