"""Rows of parallel text, dictionaries, summaries and questions become tasks, asked in every language's own words."""

import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from seallm.base.errors import DataError
from seallm.base.records import Conversation
from seallm.chat_data.task_templates import (
    Kind,
    TemplateSettings,
    _phrases,
    asks_across_languages,
    from_rows,
    phrased_languages,
    read_rows,
)
from seallm.chat_data.turn_languages import languages_of_texts
from seallm.languages import known_languages

ALL = TemplateSettings(phrased_languages(), source="demo", licence="CC0")
PAIRS = [{"en": f"The {n}th river is long", "lo": f"ແມ່ນ້ຳສາຍທີ {n} ຍາວ"} for n in range(60)]


def made(kind: Kind, rows: Sequence[dict[str, object]], settings: TemplateSettings = ALL) -> list[Conversation]:
    return [each.conversation for each in from_rows(kind, rows, settings)]


def test_every_language_has_several_phrasings_of_every_task_in_itself() -> None:
    assert set(phrased_languages()) == set(known_languages())
    slots = {
        "translation": {"language", "text"},
        "summary": {"text"},
        "comprehension": {"text", "question"},
        "word": {"language", "word"},
        "meaning": {"language", "word"},
    }
    for code, phrases in _phrases().items():
        assert set(phrases["names"]) == set(phrased_languages())
        assert len(set(phrases["names"].values())) == 10
        for task, wanted in slots.items():
            assert len(set(phrases[task])) >= 3
            for phrase in phrases[task]:
                assert set(re.findall(r"\{(\w+)\}", phrase)) == wanted, (code, task)
        plain = re.sub(r"\{\w+\}", "", " ".join(p for task in slots for p in phrases[task]))
        assert languages_of_texts([plain]) == [code]


def test_translations_go_both_ways_in_both_languages() -> None:
    talks = made("translation", PAIRS)
    assert len(talks) == 60
    assert {talk.language for talk in talks} == {"en", "lo"}
    kinds = Counter((t.language, languages_of_texts([t.messages[1].content])[0]) for t in talks)
    assert set(kinds) == {("en", "en"), ("en", "lo"), ("lo", "en"), ("lo", "lo")}
    assert min(kinds.values()) >= 5
    for talk, row in zip(talks, PAIRS, strict=True):
        asked, answer = (message.content for message in talk.messages)
        source, target = sorted(row, key=lambda code: row[code] == answer)
        assert row[source] in asked
        assert row[target] == answer
        assert _phrases()[talk.language]["names"][target] in asked
    assert (
        len(
            {t.messages[0].content.replace(r["en"], "").replace(r["lo"], "") for t, r in zip(talks, PAIRS, strict=True)}
        )
        >= 10
    )
    assert made("translation", PAIRS) == talks
    assert made("translation", PAIRS, TemplateSettings(phrased_languages(), seed=1)) != talks


def test_tasks_across_languages_are_known_by_their_words() -> None:
    rows = [*PAIRS, {"my": "ရေက အေးတယ်", "tl": "Malamig ang tubig", "zh": "水很冷"}]
    for kind in ("translation", "dictionary"):
        for talk in made(kind, rows * 3):
            assert asks_across_languages(talk.messages[0].content, talk.language)
    others = [{"text": "A long river", "summary": "A river", "language": code} for code in phrased_languages()]
    for talk in made("summary", others):
        assert not asks_across_languages(talk.messages[0].content, talk.language)


def test_only_speakers_of_the_wanted_languages_ask() -> None:
    assert {t.language for t in made("translation", PAIRS, TemplateSettings(("lo", "th")))} == {"lo"}
    assert made("translation", PAIRS, TemplateSettings(("th",))) == []


def test_dictionaries_are_asked_from_either_side() -> None:
    talks = made("dictionary", [{"lo": "ນ້ຳ", "en": "water", "pos": "n"}] * 40)
    assert {t.messages[1].content for t in talks} == {"ນ້ຳ", "water"}
    assert {(t.language, t.messages[1].content) for t in talks} == {
        (code, word) for code in ("lo", "en") for word in ("ນ້ຳ", "water")
    }
    assert all(t.messages[1].content not in t.messages[0].content for t in talks)


def test_summaries_and_questions() -> None:
    text = "น้ำท่วมหนักที่เชียงใหม่เมื่อคืนนี้"
    summary = made("summary", [{"text": text, "summary": "น้ำท่วม", "language": "th"}])
    assert summary[0].messages[1].content == "น้ำท่วม"
    assert text in summary[0].messages[0].content
    squad = {"context": text, "question": "น้ำท่วมที่ไหน", "answers": {"text": ["เชียงใหม่"], "answer_start": [3]}}
    settings = TemplateSettings(("th",), language="th")
    found = made("comprehension", [squad, {**squad, "answers": {"text": []}}], settings)
    assert len(found) == 1
    assert found[0].messages[1].content == "เชียงใหม่"
    assert "น้ำท่วมที่ไหน" in found[0].messages[0].content
    with pytest.raises(DataError, match="no question"):
        made("comprehension", [{"context": text, "answer": "x"}], settings)


def test_rows_of_every_kind_of_place(tmp_path: Path) -> None:
    (tmp_path / "words.tsv").write_text("lao\tEnglish\tpos\nນ້ຳ\twater\tn\n")
    assert list(read_rows(tmp_path / "words.tsv")) == [{"lo": "ນ້ຳ", "en": "water", "pos": "n"}]
    (tmp_path / "rows.jsonl").write_text(json.dumps({"th": "ก", "en": "a"}) + "\n")
    assert list(read_rows(tmp_path / "rows.jsonl")) == [{"th": "ก", "en": "a"}]
    folder = tmp_path / "aligned"
    folder.mkdir()
    (folder / "a.th.txt").write_text("ก\nข\n")
    (folder / "a.en.txt").write_text("a\nb\n")
    assert list(read_rows(folder)) == [{"en": "a", "th": "ก"}, {"en": "b", "th": "ข"}]
    (folder / "a.en.txt").write_text("a\n")
    with pytest.raises(DataError, match="differ in their numbers of lines"):
        list(read_rows(folder))
    (tmp_path / "rows.jsonl").write_text("{broken\n")
    with pytest.raises(DataError, match=r"rows\.jsonl:1"):
        list(read_rows(tmp_path / "rows.jsonl"))
    with pytest.raises(DataError):
        list(read_rows(tmp_path / "nowhere.tsv"))
