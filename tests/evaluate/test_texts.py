import gzip
import json
from pathlib import Path

import pytest

from seallm.base.errors import DataError
from seallm.evaluate.engine import Engine
from seallm.evaluate.texts import read_texts, text_rows
from seallm.model.scoring import bits_per_byte


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.lo.txt").write_text("ສະບາຍດີ\n\nວັນນີ້", encoding="utf-8")
    rows = [{"text": "One.", "lang": "en"}, {"text": " "}, {"text": "Hai.", "language": "id"}, {"text": "Two."}]
    with gzip.open(tmp_path / "b.vi.jsonl.gz", "wt", encoding="utf-8") as file:
        file.write("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "c.json").write_text(json.dumps([{"text": "No language"}]), encoding="utf-8")
    return tmp_path


def test_documents_by_language(folder: Path) -> None:
    expected = {"lo": ["ສະບາຍດີ\n\nວັນນີ້"], "en": ["One."], "id": ["Hai."], "vi": ["Two."], "": ["No language"]}
    assert read_texts([folder], None, None) == expected
    assert list(read_texts([folder], ["vi", "lo"], None)) == ["lo", "vi"]
    assert read_texts([folder / "c.json"], None, 1) == {"": ["No language"]}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.jsonl", '{"text": 3}', "'text' is 3; expected text"),
        ("x.jsonl", '{"body": "a"}', "'text' is None; expected text"),
        ("x.jsonl", "{", "not a JSON object"),
        ("x.pdf", "a", "expected .jsonl"),
        ("x.txt", "", "there is no text in the languages that are asked for"),
    ],
)
def test_bad_texts_are_named(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=r"x\.") as caught:
        read_texts([tmp_path / name], None, None)
    assert message in str(caught.value)


def test_bits_per_byte_are_those_of_training(engine: Engine) -> None:
    texts = {"en": ["Good morning.", "We eat rice."], "th": ["สวัสดี"]}
    for row in text_rows(engine, texts, 0):
        expected = bits_per_byte(engine.model, engine.tokenizer, texts[row["language"]], engine.max_length)
        assert row["value"] == pytest.approx(expected.value, abs=1e-5)
        assert row["n"] == len(texts[row["language"]])
