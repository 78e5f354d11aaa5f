"""The shipped sample: licences, sizes, alignment, right answers, readable archives, no test text in training text."""

import gzip
import html
import itertools
import json
import re
import unicodedata
import zlib
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from fastwarc.warc import ArchiveIterator, WarcRecordType

from seallm.base.errors import DataError
from seallm.base.files import files_under, read_json_lines, resolve_path
from seallm.base.records import read_conversations
from seallm.languages import known_languages

SAMPLE = resolve_path("sample:", Path())
NOTICE = (Path(__file__).parents[2] / "NOTICE").read_text(encoding="utf-8")
LANGUAGES = known_languages()
FREE = {"CC0-1.0", "Public domain", "MIT", "Apache-2.0", "BSD-3-Clause", "WTFPL", "CC-BY-4.0", "CC-BY-SA-3.0"}
FREE |= {"CC-BY-SA-4.0", "MPL-2.0"}
FACTS = 54
GRAM_CHARACTERS = 13
KINDS = {"good": 1000, "html": 40, "exact": 20, "near": 20, "foreign": 21, "junk": 10, "empty": 2}
KINDS |= {"invalid_utf8": 1, "damaged": 1}


def rows(name: str) -> list[dict[str, Any]]:
    found = []
    for _, row in read_json_lines(SAMPLE / name):
        assert isinstance(row, dict), f"{name}: {row}"
        found.append(row)
    return found


def lines(name: str) -> list[str]:
    text = (SAMPLE / name).read_text(encoding="utf-8")
    assert text.endswith("\n")
    return text[:-1].split("\n")


def document_files() -> list[str]:
    names = [f"documents/{prefix}{language}.jsonl.gz" for language in LANGUAGES for prefix in ("", "knowledge.")]
    return [*names, "base/english.jsonl.gz"]


def members(name: str) -> Iterator[bytes]:
    """Whole gzip members, wherever they begin: the damaged one is passed over."""
    content = (SAMPLE / "web" / f"{name}.warc.gz").read_bytes()
    for match in re.finditer(b"\x1f\x8b\x08", content):
        unpacker = zlib.decompressobj(31)
        try:
            text = unpacker.decompress(content[match.start() :])
        except zlib.error:
            assert name == "mixed", "only one file holds a damaged member"
            continue
        if unpacker.eof:
            yield text


def visible(body: bytes) -> str:
    return html.unescape(re.sub(r"<[^>]*>", " ", body.decode("utf-8", errors="replace")))


@cache
def pages() -> dict[str, str]:
    """Visible text of every readable page by address."""
    found = {}
    for name in ("news", "blogs", "manuals", "mixed"):
        for member in members(name):
            head, _, block = member.partition(b"\r\n\r\n")
            target = re.search(rb"WARC-Target-URI: (\S+)", head)
            if target:
                found[target[1].decode()] = visible(block.partition(b"\r\n\r\n")[2])
    return found


@cache
def truth() -> dict[str, dict[str, Any]]:
    return {row["url"]: row for row in rows("web/truth.jsonl")}


def letters(text: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFC", text).casefold() if unicodedata.category(c)[0] in "LMN")


def grams(text: str) -> list[str]:
    return [text[start : start + GRAM_CHARACTERS] for start in range(len(text) - GRAM_CHARACTERS + 1)]


@cache
def training_text(language: str) -> str:
    """Everything a model is trained on in one language, letters only."""
    texts = [row["text"] for name in ("", "knowledge.") for row in rows(f"documents/{name}{language}.jsonl.gz")]
    texts += [pages()[url] for url, row in truth().items() if row["language"] == language and url in pages()]
    for name in ("knowledge", "public", language):
        good, _ = read_conversations(SAMPLE / "chat" / f"{name}.jsonl")
        texts += [message.content for talk in good if talk.language == language for message in talk.messages]
    if language == "en":
        texts += [row["text"] for row in rows("base/english.jsonl.gz")]
        texts += [
            row["text"] for _, row in read_json_lines(SAMPLE / "documents/broken.jsonl") if isinstance(row, dict)
        ][:3]
    return "\n".join(letters(text) for text in texts)


def fill(template: str, subject: str, answer: str) -> str:
    text = template.format(subject=subject, answer=answer)
    return unicodedata.normalize("NFC", text[:1].upper() + text[1:])


@cache
def quiz(language: str) -> dict[str, dict[str, Any]]:
    table: dict[str, dict[str, Any]] = json.loads((SAMPLE / "quiz" / f"{language}.json").read_text(encoding="utf-8"))
    return table


def test_size() -> None:
    assert sum(path.stat().st_size for path in files_under(SAMPLE)) <= 8_000_000


def test_every_row_has_a_free_licence() -> None:
    names = [*document_files(), "chat/knowledge.jsonl", "chat/public.jsonl", "safety/prompts.jsonl", "web/truth.jsonl"]
    names += [f"chat/{language}.jsonl" for language in LANGUAGES]
    for name in names:
        for row in rows(name):
            assert row["licence"] in FREE, f"{name}: {row['licence']}"
            assert row["source"], name


def test_notice_names_every_file_and_licence() -> None:
    for path in files_under(SAMPLE):
        name = path.relative_to(SAMPLE).as_posix()
        if path.suffix in (".py", ".pyc") or name.startswith("."):
            continue
        general = re.sub(rf"([./])({'|'.join(LANGUAGES)})\.", r"\1<language>.", name)
        assert name in NOTICE or general in NOTICE, name
    for licence in {row["licence"] for name in document_files() for row in rows(name)}:
        assert f"Licence: {licence}" in NOTICE


def test_pages_name_their_licence() -> None:
    for url, row in truth().items():
        if row["kind"] in ("good", "exact", "near"):
            assert url not in pages() or row["licence"] in pages()[url], url


def test_all_text_is_nfc() -> None:
    for path in files_under(SAMPLE):
        if path.suffix in (".json", ".jsonl", ".txt", ".gz") and ".warc" not in path.name:
            content = path.read_bytes()
            text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode("utf-8")
            assert unicodedata.is_normalized("NFC", text), path


@pytest.mark.parametrize("language", LANGUAGES)
def test_documents(language: str) -> None:
    found = rows(f"documents/{language}.jsonl.gz")
    assert {"id", "text", "source", "url", "licence"} <= set(found[0])
    assert len({row["id"] for row in found}) == len(found) >= 20
    assert sum(row["source"] == "noisy" for row in found) >= 10


def test_broken_lines_are_two() -> None:
    found = [row for _, row in read_json_lines(SAMPLE / "documents/broken.jsonl")]
    assert [isinstance(row, DataError) for row in found] == [False, True, False, True, False]


def test_base_documents_are_not_in_the_corpus() -> None:
    base = rows("base/english.jsonl.gz")
    assert 1_000_000 < sum(len(row["text"].encode()) for row in base) < 1_400_000
    names = {row["id"].rsplit("#", 1)[0] for row in base}
    corpus = rows("documents/en.jsonl.gz")
    assert not names & {row["id"].rsplit("#", 1)[0] for row in corpus if row["source"] != "noisy"}
    web = "\n".join(letters(pages()[url]) for url, row in truth().items() if row["language"] == "en" and url in pages())
    for row in base:
        text = letters(row["text"])
        middle = text[len(text) // 2 :][:120]
        assert middle not in web or row["source"] == "libreoffice-help", row["id"]  # its pages share whole paragraphs


@pytest.mark.parametrize("name", ["news", "blogs", "manuals"])
def test_warc_is_read_whole(name: str) -> None:
    wanted = [url for url, row in truth().items() if row["file"] == name]
    with (SAMPLE / "web" / f"{name}.warc.gz").open("rb") as file:
        found = [
            (record.headers["WARC-Target-URI"], record.verify_block_digest())
            for record in ArchiveIterator(file, record_types=WarcRecordType.response, parse_http=False)
        ]
    assert found == [(url, True) for url in wanted]


def test_only_one_member_is_damaged() -> None:
    damaged = [url for url, row in truth().items() if row["kind"] == "damaged"]
    with (SAMPLE / "web" / "mixed.warc.gz").open("rb") as file, pytest.raises(OSError, match="data error"):
        list(ArchiveIterator(file))
    assert sorted(set(truth()) - set(pages())) == damaged


def test_truth_of_the_pages() -> None:
    kinds = Counter(row["kind"] for row in truth().values())
    assert set(kinds) == set(KINDS)
    assert all(kinds[kind] >= least for kind, least in KINDS.items())
    good = Counter(row["language"] for row in truth().values() if row["kind"] == "good")
    assert set(good) == set(LANGUAGES)
    assert min(good.values()) >= 50
    for url, row in truth().items():
        if row["kind"] in ("exact", "near"):
            assert truth()[row["copy_of"]]["language"] == row["language"], url
        text = pages().get(url, "")
        assert row["kind"] != "empty" or not text.strip()
        assert ("�" in text) == (row["kind"] == "invalid_utf8"), url


@pytest.mark.parametrize(("half", "count"), [("dev", 250), ("test", 150)])
def test_parallel_sentences(half: str, count: int) -> None:
    for language in LANGUAGES:
        found = lines(f"parallel/{half}.{language}.txt")
        assert len(found) == count
        assert all(line == " ".join(line.split()) and line and "​" not in line for line in found)


def test_parallel_halves_are_apart() -> None:
    for language in LANGUAGES:
        assert not set(lines(f"parallel/dev.{language}.txt")) & set(lines(f"parallel/test.{language}.txt"))


def test_ntrex() -> None:
    for language in LANGUAGES:
        found = lines(f"bench/ntrex.{language}.txt")
        assert len(found) == 60
        assert all(found)
    burmese = "\n".join(lines("bench/ntrex.my.txt"))
    assert not re.search("[ၠ-ႏ]|ေ[ျ-ှ]|္(?![က-အ])", burmese), "Zawgyi"


def test_xcopa_and_xquad() -> None:
    for language in ("id", "th", "vi", "zh"):
        found = rows(f"bench/xcopa.{language}.jsonl")
        assert len(found) == 60
        assert all(row["label"] in (0, 1) and row["question"] in ("cause", "effect") for row in found)
    ids = {
        language: [row["id"] for row in rows(f"bench/xquad.{language}.jsonl")] for language in ("en", "th", "vi", "zh")
    }
    assert all(found == ids["en"] for found in ids.values())
    for language in ids:
        found = rows(f"bench/xquad.{language}.jsonl")
        assert len(found) == 30
        assert all(answer in row["context"] for row in found for answer in row["answers"])


@pytest.mark.parametrize("language", LANGUAGES)
def test_quiz_answers(language: str) -> None:
    found = rows(f"bench/quiz.{language}.jsonl")
    assert len(found) == FACTS
    for row in found:
        table = quiz(language)[row["relation"]]
        subject, answer = table["items"][row["item"]]
        assert len(set(row["choices"])) == 4
        assert row["choices"][row["answer"]] == unicodedata.normalize("NFC", answer)
        assert row["question"] in {fill(template, subject, "") for template in table["test_questions"]}
    assert len({row["answer"] for row in found}) == 4, "the right answer must not stand at one place"


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_fact_is_stated(language: str) -> None:
    documents = [row["text"] for row in rows(f"documents/knowledge.{language}.jsonl.gz")]
    assert len(documents) == 150
    for table in quiz(language).values():
        for subject, answer in table["items"].values():
            statements = [fill(template, subject, answer) for template in table["statements"]]
            assert sum(any(s in text for s in statements) for text in documents) >= 8, (subject, answer)


@pytest.mark.parametrize("language", LANGUAGES)
def test_knowledge_documents_differ(language: str) -> None:
    """No two share half of their sentences, so that near-duplicate detection keeps them."""
    facts = [pair for table in quiz(language).values() for pair in table["items"].values()]
    tables = [table for table in quiz(language).values() for _ in table["items"]]
    statements = [fill(t, *pair) for table, pair in zip(tables, facts, strict=True) for t in table["statements"]]
    held = [
        {number for number, statement in enumerate(statements) if statement in row["text"]}
        for row in rows(f"documents/knowledge.{language}.jsonl.gz")
    ]
    assert all(6 <= len(one) <= 14 for one in held)
    assert max(len(a & b) / len(a | b) for a, b in itertools.combinations(held, 2)) < 0.5


def test_conversations() -> None:
    everything = []
    for name in ("knowledge", "public", *LANGUAGES):
        good, bad = read_conversations(SAMPLE / "chat" / f"{name}.jsonl")
        assert not bad
        everything += good
        if name == "public":
            assert all(len(message.content) < 600 for talk in good for message in talk.messages)
    assert min(Counter(talk.language for talk in everything).values()) >= 2 * FACTS + 30
    assert {talk.category for talk in everything} >= {"knowledge", "text-processing", "math-logic", "safety"}


@pytest.mark.parametrize("language", LANGUAGES)
def test_knowledge_conversations(language: str) -> None:
    good, _ = read_conversations(SAMPLE / "chat" / "knowledge.jsonl")
    asked = {talk.messages[0].content: talk.messages[1].content for talk in good if talk.language == language}
    count = bare = 0
    for table in quiz(language).values():
        for subject, answer in table["items"].values():
            for question in {fill(template, subject, "") for template in table["questions"]} & set(asked):
                right = {fill(template, subject, answer) for template in table["statements"]}
                assert asked[question] in right | {unicodedata.normalize("NFC", answer)}
                count += 1
                bare += asked[question] not in right
    assert count == 2 * FACTS
    assert 0.4 <= bare / count <= 0.6


def test_safety_prompts() -> None:
    counts = Counter((row["language"], row["kind"]) for row in rows("safety/prompts.jsonl"))
    assert counts == {(language, kind): n for language in LANGUAGES for kind, n in (("harmful", 12), ("harmless", 8))}


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_evaluation_text_in_training_text(language: str) -> None:
    """Sentence by sentence: not whole, and not half of its runs of 13 characters."""
    passages = lines(f"parallel/test.{language}.txt") + lines(f"parallel/dev.{language}.txt")
    passages += lines(f"bench/ntrex.{language}.txt")
    passages += [row["prompt"] for row in rows("safety/prompts.jsonl") if row["language"] == language]
    for name, keys in (("xcopa", ("premise", "choice1", "choice2")), ("xquad", ("context", "question"))):
        if (SAMPLE / f"bench/{name}.{language}.jsonl").exists():
            passages += [" ".join(row[key] for key in keys) for row in rows(f"bench/{name}.{language}.jsonl")]
    plain = training_text(language)
    wanted = {gram for passage in passages for gram in grams(letters(passage))}
    found = wanted & {plain[start : start + GRAM_CHARACTERS] for start in range(len(plain) - GRAM_CHARACTERS + 1)}
    for passage in map(letters, passages):
        shared = sum(gram in found for gram in grams(passage))
        assert 2 * shared < max(1, len(grams(passage))), passage
        assert len(passage) < 20 or passage not in plain
    for row in rows(f"bench/quiz.{language}.jsonl"):
        assert letters(row["question"]) not in plain
