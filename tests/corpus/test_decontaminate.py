import gzip
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from seallm.base.errors import DataError
from seallm.base.kernels import string_buffers
from seallm.corpus import decontaminate as d
from seallm.corpus import passage_windows as w
from seallm.corpus.benchmark_files import Passage, read_passages
from tests.corpus.reference import sequence_hash, sign_weight, texts

# written for this test, in the manner of test questions
PASSAGES = {
    "en": "A farmer plants rice on three terraces, and every terrace gives forty sacks. How many sacks are there?",
    "id": "Seorang petani menanam padi di tiga petak sawah, dan setiap petak menghasilkan empat puluh karung padi.",
    "vi": "Một nông dân trồng lúa trên ba thửa ruộng bậc thang, mỗi thửa thu được bốn mươi bao thóc mỗi vụ.",
    "th": "ชาวนาคนหนึ่งปลูกข้าวบนนาขั้นบันไดสามแปลง แต่ละแปลงได้ข้าวสี่สิบกระสอบ น้ำมาจากแม่น้ำ ชาวนาได้ข้าวทั้งหมดกี่กระสอบ",
    "lo": "ຊາວນາຄົນໜຶ່ງປູກເຂົ້າໃນນາສາມຕອນ ແຕ່ລະຕອນໄດ້ເຂົ້າສີ່ສິບເປົາ ນ້ຳມາຈາກແມ່ນ້ຳຂອງ ຊາວນາໄດ້ເຂົ້າທັງໝົດຈັກເປົາ",
    "km": "កសិករម្នាក់ដាំស្រូវលើវាលស្រែបីកន្លែង ហើយកន្លែងនីមួយៗទទួលបានស្រូវសែសិបបាវ តើកសិករទទួលបានស្រូវសរុបប៉ុន្មានបាវ",
    "my": "လယ်သမားတစ်ဦးသည် လယ်ကွက်သုံးကွက်တွင် စပါးစိုက်ပျိုးပြီး တစ်ကွက်လျှင် အိတ်လေးဆယ်ရရှိသည်။ စုစုပေါင်း အိတ်ဘယ်နှစ်လုံးရသနည်း။",
    "zh": "一位农民在三块梯田上种植水稻，每块梯田收获四十袋稻谷，请问这位农民一共收获多少袋稻谷？",
}
FILLER = "Di pasar pagi orang menjual ikan, sayur dan buah. Harga naik ketika hujan turun terlalu lama.\n"


def index_of(*rows: str, name: str = "a.jsonl") -> d.BenchmarkIndex:
    return d.make_index([Passage(name, number, "q", text) for number, text in enumerate(rows, 1)])


def leaks_of(index: d.BenchmarkIndex, *rows: str) -> list[tuple[int, int]]:
    leaks = d.find_leaks(pa.array(rows, pa.large_string()), index)
    return list(zip(leaks.documents.tolist(), leaks.passages.tolist(), strict=True))


def windows_plainly(text: str) -> list[tuple[int, int]]:
    """Hash and end byte of every window, cut anew at each sign."""
    found, signs, position = [], [], 0
    for character in text:
        position += len(character.encode())
        sign = w.sign_of(ord(character))
        if not sign:
            continue
        signs.append((sign, sign_weight(ord(character)), position))
        weight, start = 0, len(signs)
        while start > 0 and weight < w.WINDOW_WEIGHT:
            start -= 1
            weight += signs[start][1]
        if weight >= w.WINDOW_WEIGHT:
            found.append((sequence_hash([s for s, _, _ in signs[start:]]), position))
    return found


def windows_of(text: str) -> list[tuple[int, int]]:
    offsets, data = string_buffers(pa.array([text], pa.large_string()))
    windows = w.make_windows(max(1, int(offsets[1])))
    count = w.cut_windows(data, (int(offsets[0]), int(offsets[1])), w.sign_tables(), w.sign_powers(), windows)
    full = [i for i in range(count) if windows.firsts[i] >= 0]
    return [(int(windows.hashes[i]), int(windows.ends[i])) for i in full]


@settings(deadline=None, max_examples=150)
@given(texts)
@example("")
@example("a")
@example("中" * 40)
@example(FILLER * 50 + "".join(PASSAGES.values()))
def test_windows_equal_the_plain_reading(text: str) -> None:
    assert windows_of(text) == windows_plainly(text)


@settings(deadline=None, max_examples=60)
@given(st.lists(texts, min_size=1, max_size=4), st.lists(texts, min_size=1, max_size=4))
@example(list(PASSAGES.values()), [FILLER + PASSAGES["th"], "", PASSAGES["zh"][5:]])
def test_documents_are_counted_as_the_plain_reading_does(passages: list[str], documents: list[str]) -> None:
    index = index_of(*passages)
    counts = d.count_documents(pa.array(documents, pa.large_string()), index)
    found = [{h for h, _ in windows_plainly(text)} for text in documents]
    assert counts.tolist() == [sum(h in hashes for hashes in found) for h in index.table.hashes.tolist()]


@pytest.mark.parametrize("language", PASSAGES)
def test_a_planted_passage_is_found_with_its_place(language: str) -> None:
    passage = PASSAGES[language]
    index = index_of(*PASSAGES.values())
    document = FILLER * 3 + passage + "\n" + FILLER
    number = list(PASSAGES).index(language)
    leaks = d.find_leaks(pa.array([FILLER, document, FILLER], pa.large_string()), index)
    assert (leaks.documents.tolist(), leaks.passages.tolist()) == ([1], [number])
    assert leaks.shares[0] == 1
    ((start, end),) = leaks.spans.tolist()
    assert passage.startswith(document.encode()[start:end].decode())


@pytest.mark.parametrize("language", PASSAGES)
def test_small_edits_do_not_hide_a_passage(language: str) -> None:
    passage, index = PASSAGES[language], index_of(PASSAGES[language])
    spaced = "\u200b".join(passage.replace(" ", " \n"))
    bare = "".join(c for c in passage if c not in " ,.?，？。။")
    wide = "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in passage.upper())
    cut = len(passage) * 3 // 4
    changed = passage[:cut] + "2024 foo" + passage[cut + 4 :]
    for variant in (spaced, bare, wide, changed):
        assert leaks_of(index, FILLER + variant) == [(0, 0)], variant


def test_both_spellings_of_sara_am_and_any_order_of_marks_are_one() -> None:
    assert [w.sign_of(ord(c)) for c in "น้ำ"] == [ord("น"), 0, ord("า")]
    assert windows_of("น้ำ" * 20)[0][0] == windows_of("นํ้า" * 20)[0][0]
    assert [chr(w.sign_of(ord(c))) for c in "Aé４໔ｶ가𠀀"] == ["a", "e", "4", "4", "カ", "가", "𠀀"]


def test_a_part_of_a_long_passage_counts_from_half_or_in_a_long_run() -> None:
    market = "Every morning the market opens at six and the boats bring fish, crabs and shrimps to the pier of "
    long = " ".join([PASSAGES["en"], PASSAGES["id"], *(f"{market} {name}." for name in ("Muar", "Cebu", "Hoi An"))])
    index = index_of(long)
    assert leaks_of(index, FILLER + PASSAGES["en"]) == []  # a fifth
    assert leaks_of(index, FILLER + PASSAGES["en"] + PASSAGES["id"]) == [(0, 0)]  # two fifths without a gap
    assert leaks_of(index, FILLER.join((PASSAGES["en"], market, market + "Cebu."))) == [(0, 0)]  # half, in pieces


def test_what_many_share_does_not_count() -> None:
    instruction = "Answer the following question with one of the letters that stand before the options below. "
    names = (
        "Hanoi",
        "Medan",
        "Cebu",
        "Vientiane",
        "Mandalay",
        "Ipoh",
        "Phuket",
        "Battambang",
        "Davao",
        "Hue",
        "Vinh",
        "Sibu",
    )
    index = index_of(*(f"{instruction} Where is {name}?" for name in names))
    assert leaks_of(index, instruction + FILLER) == []
    digits = index_of("1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30", "555" * 40)
    assert len(digits.table.hashes) == 0
    assert leaks_of(digits, "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25") == []


def test_windows_of_many_documents_count_only_for_a_whole_long_passage() -> None:
    saying = "Bagai air di daun talas, begitulah hati orang muda itu."
    index = index_of(saying, PASSAGES["id"])
    counts = d.count_documents(pa.array([saying + str(n) for n in range(11)] + [PASSAGES["id"]] * 11), index)
    marked = d.mark_common(index, counts)
    assert marked.common.all()
    assert leaks_of(index, FILLER + saying) == [(0, 0)]
    assert leaks_of(marked, FILLER + saying) == []
    assert leaks_of(marked, FILLER + PASSAGES["id"]) == [(0, 1)]
    assert leaks_of(marked, FILLER + PASSAGES["id"][:70]) == []


def test_counts_of_files_add_up() -> None:
    index = index_of(*PASSAGES.values())
    rows = [FILLER + text for text in PASSAGES.values()] * 3
    parts = [d.count_documents(pa.array(rows[start::2]), index) for start in (0, 1)]
    np.testing.assert_array_equal(sum(parts), d.count_documents(pa.array(rows), index))


def test_the_paragraph_is_cut_and_the_rest_stays() -> None:
    documents = [FILLER, FILLER + "Soal: " + PASSAGES["id"] + " Jawab!\n" + FILLER, PASSAGES["zh"]]
    table = pa.array(documents, pa.large_string())
    leaks = d.find_leaks(table, index_of(*PASSAGES.values()))
    assert d.cut_leaks(table, leaks).to_pylist() == [FILLER, (FILLER + FILLER).strip(), ""]


def test_what_was_found_is_described() -> None:
    index = d.make_index([Passage("soal.jsonl", 7, "q", PASSAGES["th"]), Passage("b.csv", 1, "x", PASSAGES["th"])])
    table = pa.array([FILLER, FILLER + PASSAGES["th"]])
    (row,) = d.describe_leaks(table, ["one", "two"], d.find_leaks(table, index), index)
    assert (row["benchmark"], row["row"], row["id"], row["share"]) == ("soal.jsonl", 7, "two", 1.0)
    assert PASSAGES["th"].startswith(row["text"])


def test_an_index_is_read_as_it_was_written(tmp_path: Path) -> None:
    index = index_of(*PASSAGES.values())
    d.save_index(index, tmp_path / "index.npz")
    again = d.load_index(tmp_path / "index.npz")
    assert again.benchmarks == index.benchmarks
    for one, other in zip(again.table, index.table, strict=True):
        np.testing.assert_array_equal(one, other)


def test_nothing_to_compare() -> None:
    assert leaks_of(index_of("short"), FILLER) == []
    assert leaks_of(index_of(PASSAGES["en"])) == []
    assert leaks_of(d.make_index([]), FILLER) == []


def test_many_hits_do_not_fit_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(d, "_HIT_ROOM", 1)
    rows = [PASSAGES["th"] * 3, FILLER, PASSAGES["zh"], PASSAGES["th"]]
    assert leaks_of(index_of(PASSAGES["th"], PASSAGES["zh"]), *rows) == [(0, 0), (2, 1), (3, 0)]


def fields_of(passages: Sequence[Passage]) -> list[tuple[int, str, str]]:
    return [(p.row, p.field, p.text) for p in passages]


def test_files_of_every_kind(tmp_path: Path) -> None:
    rows = [
        {"q": "Di mana Medan?", "choices": ["di Jawa", {"text": "di Sumatra"}], "url": "https://x.example/a"},
        {"q": "Di mana Hue?", "choices": ["di Jawa"], "url": ""},
    ]
    wanted = [
        (1, "q", "Di mana Medan?"),
        (1, "choices.0", "di Jawa"),
        (1, "choices.1.text", "di Sumatra"),
        (2, "q", "Di mana Hue?"),
    ]
    lines = "\n".join(json.dumps(row) for row in rows)
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    (tmp_path / "a.json").write_text(json.dumps(rows))
    (tmp_path / "b.json").write_text(json.dumps({"version": "1", "data": rows}))
    for name in ("a.jsonl.gz", "a.json", "b.json"):
        assert fields_of(read_passages(tmp_path / name, name)) == wanted
        assert fields_of(read_passages(tmp_path / name, name, ["choices"])) == wanted[1:3]
    (tmp_path / "a.csv").write_text('q,a\n"Di mana, Medan?",di Sumatra\n')
    (tmp_path / "a.tsv").write_text("q\ta\nDi mana, Medan?\tdi Sumatra\n")
    pq.write_table(pa.table({"q": ["Di mana, Medan?"], "a": ["di Sumatra"], "n": [1]}), tmp_path / "a.parquet")
    (tmp_path / "a.txt").write_text("Di mana, Medan?\n\ndi Sumatra\n")
    for name in ("a.csv", "a.tsv", "a.parquet", "a.txt"):
        assert [p.text for p in read_passages(tmp_path / name, name)] == ["Di mana, Medan?", "di Sumatra"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b'{"q": "x"}\n{"q": ', "a.jsonl cannot be read .2: not a JSON object"),
        ("a.json", b"{", "cannot be read"),
        ("a.json", b"[" * 100_000, "cannot be read"),
        ("a.parquet", b"nothing", "cannot be read"),
        ("a.jsonl.gz", b"nothing", "cannot be read|damaged archive"),
        ("a.csv", b"\xff\xfe\xff", "cannot be read"),
        ("a.xls", b"", "must end in one of"),
        ("a.jsonl", b'{"n": 1}\n', "has no text in any field"),
    ],
)
def test_a_benchmark_that_cannot_be_read_stops(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_passages(tmp_path / name, name)


def test_a_missing_field_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"q": "x"}\n')
    with pytest.raises(DataError, match="fields question"):
        read_passages(tmp_path / "a.jsonl", "a.jsonl", ["question"])
