import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seallm.base.errors import DataError
from seallm.base.records import DOCUMENT_SCHEMA
from seallm.vocab.texts import corpus_texts
from seallm.vocab.tokenizer_places import open_tokenizer
from seallm.vocab_inputs import is_corpus, write_base, write_corpus, write_parallel
from tests.vocab.tiny import BASES, sentencepiece_model, sentences
from tests.vocab.tiny import write_corpus as write_real_corpus
from tests.vocab.tiny import write_parallel as write_halves


def test_documents_that_say_what_they_are(tmp_path: Path) -> None:
    rows = [
        {"text": "an English text", "lang": "en"},
        {"text": "ภาษา\u200bไทย", "lang": "th"},
        {"text": "?", "lang": "xx"},
    ]
    with gzip.open(tmp_path / "crawl.jsonl.gz", "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    table = pa.table({"text": ["teks"], "language": ["id"]})
    pq.write_table(table, tmp_path / "more.parquet")
    corpus = write_corpus(tmp_path, ("en", "th", "id"), 1.0, tmp_path / "corpus")
    assert corpus == tmp_path / "corpus"
    assert list(corpus_texts(corpus, "en", 1)) == ["an English text"]
    assert list(corpus_texts(corpus, "th", 1)) == ["ภาษาไทย"]  # repaired
    assert list(corpus_texts(corpus, "id", 1)) == ["teks"]
    table = pq.read_table(corpus / "documents" / "th.high.parquet")
    assert table.schema.equals(DOCUMENT_SCHEMA)


def test_documents_whose_file_says_it(tmp_path: Path) -> None:
    (tmp_path / "th").mkdir()
    (tmp_path / "th" / "news.txt").write_text("ข่าว", encoding="utf-8")
    (tmp_path / "en.jsonl").write_text('{"text": "one"}\n{"text": "two"}\n', encoding="utf-8")
    corpus = write_corpus(tmp_path, ("en", "th"), 1.0, tmp_path / "corpus")
    assert list(corpus_texts(corpus, "en", 1)) == ["one", "two"]
    assert list(corpus_texts(corpus, "th", 1)) == ["ข่าว"]


def test_no_more_than_is_wanted(tmp_path: Path) -> None:
    (tmp_path / "en.jsonl").write_text('{"text": "0123456789"}\n' * 50, encoding="utf-8")
    corpus = write_corpus(tmp_path, ("en",), 0.0001, tmp_path / "corpus")
    assert len(list(corpus_texts(corpus, "en", 1))) == 10


def test_a_corpus_is_taken_as_it_is(tmp_path: Path) -> None:
    corpus = write_real_corpus(tmp_path / "corpus", ("en", "id"))
    assert is_corpus(corpus)
    assert write_corpus(corpus, ("en", "id"), 1.0, tmp_path / "other") == corpus
    assert not (tmp_path / "other").exists()


def test_documents_that_say_nothing(tmp_path: Path) -> None:
    (tmp_path / "crawl.jsonl").write_text('{"text": "one"}\n', encoding="utf-8")
    with pytest.raises(DataError, match=r"None of the 1 files at .* has a document in en, th. Documents need a field"):
        write_corpus(tmp_path, ("en", "th"), 1.0, tmp_path / "corpus")


def test_a_language_without_documents(tmp_path: Path) -> None:
    (tmp_path / "en.jsonl").write_text('{"text": "one"}\n', encoding="utf-8")
    with pytest.raises(DataError, match=r"has a document in th, lo\. .*or leave these out with --languages") as caught:
        write_corpus(tmp_path, ("en", "th", "lo"), 1.0, tmp_path / "corpus")
    assert "\n" not in str(caught.value)


def test_a_base_with_all_that_describes_it(tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "tokenizer.json").write_text(BASES["byte-level"](), encoding="utf-8")
    (model / "tokenizer_config.json").write_text('{"model_max_length": 9}')
    (model / "chat_template.jinja").write_text("{{ messages }}")
    write_base(open_tokenizer(model), tmp_path / "base")
    written = tmp_path / "base" / "model"
    assert {p.name for p in written.iterdir()} == {"tokenizer.json", "tokenizer_config.json", "chat_template.jinja"}
    assert json.loads((written / "tokenizer.json").read_text()) == json.loads(BASES["byte-level"]())


def test_a_lone_sentencepiece_model_names_its_usual_tokens(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.model").write_bytes(sentencepiece_model())
    write_base(open_tokenizer(tmp_path / "tokenizer.model"), tmp_path / "base")
    written = tmp_path / "base" / "model"
    assert {p.name for p in written.iterdir()} == {"tokenizer.json", "tokenizer.model", "tokenizer_config.json"}
    settings = json.loads((written / "tokenizer_config.json").read_text())
    assert settings == {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}


def test_parallel_sentences_are_written_in_halves(tmp_path: Path) -> None:
    write_halves(tmp_path / "parallel", ("en", "id"), 5)
    halves = write_parallel(tmp_path / "parallel", ("en", "id"), tmp_path / "out")
    assert set(halves) == {"dev", "test"}
    assert (tmp_path / "out" / "test.id.txt").read_text(encoding="utf-8").splitlines() == sentences("test", "id", 5)
