from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from seallm.corpus import passage_windows as w
from seallm.corpus import site_frames as s
from tests.corpus.reference import sequence_hash, sign_weight, texts

MENU = ["Trang chủ", "Thời sự", "Kinh doanh", "Liên hệ"]
FOOT = ["Chia sẻ lên Facebook", "Bản quyền 2024"]
COOKIE = "Trang web này sử dụng cookie để cải thiện trải nghiệm"
SITE = "bao.example"


def article(number: int) -> list[str]:
    # every line of an article is its own
    word = "".join(chr(ord("a") + int(digit)) for digit in f"{number:03d}")
    place = f"trên ruộng bậc thang {word} hai vụ mỗi năm, nước từ suối {word} trên núi chảy về."
    sentence = f"Ngày {word} người dân trồng lúa {place}"
    return [f"Ruộng bậc thang {word}", sentence, "Ghi chú", f"Chợ phiên {word} họp " + sentence]


def page(number: int) -> str:
    return "\n".join([*MENU, *article(number)[:2], "", COOKIE, "", *article(number)[2:], *FOOT])


def table(rows: list[str], site: str | None = SITE) -> tuple[pa.Array, pa.Array]:
    return pa.array(rows, pa.large_string()), pa.array([site] * len(rows), pa.string())


def stripped(rows: list[str], site: str | None = SITE) -> list[str]:
    columns = table(rows, site)
    result: list[str] = s.remove_lines(*columns, s.choose_of([s.count_lines(*columns)])).texts.to_pylist()
    return result


def test_the_frame_goes_and_the_article_stays() -> None:
    found = stripped([page(n) for n in range(30)])
    expected = ["\n".join([*article(n)[:2], "", *article(n)[2:]]) for n in range(30)]
    assert found == expected  # "Ghi chú" is on every page too, and is a heading


def test_lines_and_bytes_that_went_are_counted() -> None:
    columns = table([page(n) for n in range(30)])
    result = s.remove_lines(*columns, s.choose_of([s.count_lines(*columns)]))
    assert set(result.lines.tolist()) == {7}
    lengths = [
        len(a.encode()) - len(b.encode()) for a, b in zip(columns[0].to_pylist(), result.texts.to_pylist(), strict=True)
    ]
    assert result.bytes.tolist() == lengths


def test_few_pages_show_no_frame() -> None:
    pages = [page(n) for n in range(s.MIN_PAGES - 1)]
    assert stripped(pages) == pages


def test_lines_that_sites_share_are_of_no_frame() -> None:
    pages = [page(n) for n in range(30)]
    columns = pa.array(pages, pa.large_string()), pa.array([f"{n}.example" for n in range(30)])
    assert s.remove_lines(*columns, s.choose_of([s.count_lines(*columns)])).texts.to_pylist() == pages


def test_documents_without_a_site_stay_as_they_are() -> None:
    pages = [page(n) for n in range(30)]
    assert stripped(pages, None) == pages
    lines = s.choose_of([s.count_lines(*table(pages))])
    assert s.remove_lines(*table(pages, None), lines).texts.to_pylist() == pages


def test_copies_of_one_page_are_no_frame() -> None:
    poem = "\n".join(f"Câu {word} trong bài" for word in ("thơ", "ca", "hát", "ru", "con", "ngủ"))
    assert stripped([poem] * 40) == [poem] * 40
    assert stripped([poem + f"\n{'abcdefghij'[n]}" for n in range(10)])[0].startswith(poem)  # nearly all would go


def test_a_long_sentence_needs_more_pages() -> None:
    sentence = (
        "Bài viết này là một phần của loạt bài về nông nghiệp miền núi do tòa soạn thực hiện cùng các địa phương."
    )

    def pages(count: int) -> list[str]:
        return ["\n".join([*article(n), *([sentence] if n < count else [])]) for n in range(50)]

    assert stripped(pages(12)) == pages(12)
    assert stripped(pages(20)) == pages(0)


def test_menus_of_parts_of_a_large_site() -> None:
    def pages(count: int) -> list[str]:
        return [
            "\n".join([*(["Chuyên mục nông nghiệp"] if n < count else []), *article(n % 1000), str(n)])
            for n in range(3_000)
        ]

    assert stripped(pages(s.MANY_PAGES))[0] == pages(0)[0]
    assert stripped(pages(s.MANY_PAGES - 1))[0] == pages(s.MANY_PAGES - 1)[0]


def test_counts_of_files_add_up(tmp_path: Path) -> None:
    rows = [page(n) for n in range(60)]
    sites = [f"site{n % 3}.example" if n % 7 else None for n in range(60)]
    columns = pa.array(rows, pa.large_string()), pa.array(sites, pa.string())
    whole = s.choose_of([s.count_lines(*columns)])
    paths = []
    for start in range(4):
        part = pa.array(rows[start::4], pa.large_string()), pa.array(sites[start::4], pa.string())
        paths.append(tmp_path / f"{start}.parquet")
        s.save_counts(s.count_lines(*part), paths[-1])
    for parts in (1, 3, 64):
        for order in (paths, paths[::-1]):
            for one, other in zip(s.choose_lines(order, parts), whole, strict=True):
                np.testing.assert_array_equal(one, other)
    assert len(whole.keys) > 0


def key_plainly(line: str) -> tuple[int, int]:
    """Lower half of a line's key, and the line's weight."""
    signs = [w.sign_of(ord(c)) for c in line]
    weight = sum(sign_weight(ord(c)) for c, sign in zip(line, signs, strict=True) if sign)
    folded = [ord("0") if chr(sign) in "0123456789" else sign for sign in signs if sign]
    if sum(sign != ord("0") for sign in folded) < 2 or weight > s.MAX_LINE_WEIGHT:
        return 0, weight
    return max(sequence_hash(folded) >> 33, 1) << 1 | (weight >= s.PARAGRAPH_WEIGHT), weight


def remove_plainly(text: str, frame: dict[int, bool]) -> str:
    """`frame`: keys of lines -> whether they are on most pages."""
    lines = [line for line in text.split("\n") if line]
    keys, weights = zip(*map(key_plainly, lines), strict=True) if lines else ((), ())
    is_frame = [key in frame for key in keys]
    paragraphs = [n for n, weight in enumerate(weights) if weight >= s.PARAGRAPH_WEIGHT and not is_frame[n]]
    goes = [False] * len(lines)
    for n in range(len(lines)):
        if is_frame[n]:
            start, end = n, n
            while start > 0 and is_frame[start - 1]:
                start -= 1
            while end + 1 < len(lines) and is_frame[end + 1]:
                end += 1
            is_edge = not paragraphs or n < paragraphs[0] or n > paragraphs[-1]
            is_lone = frame[keys[n]] and weights[n] >= s.MIN_LONE_WEIGHT
            goes[n] = is_edge or is_lone or end - start + 1 >= s.MIN_BLOCK_LINES
    lost = sum(weight for weight, gone in zip(weights, goes, strict=True) if gone)
    if not any(goes) or lost > s.MAX_REMOVED_SHARE * sum(weights):
        return text
    kept, number = [], 0
    for line in text.split("\n"):
        if not line and kept and kept[-1]:
            kept.append("")
        elif line:
            kept += [line] * (not goes[number])
            number += 1
    return "\n".join(kept).strip("\n")


_LINES = ["Home", "Contact us", COOKIE, "Hal 3 / 12", "", "ข่าวกีฬา", "版权所有 不得转载", *article(1), article(2)[1] * 9]
_PAGES = st.one_of(texts, st.lists(st.sampled_from(_LINES), max_size=14).map("\n".join))


@settings(deadline=None, max_examples=200)
@given(st.lists(_PAGES, min_size=1, max_size=5))
@example(["", "\n\n", "a\n", page(1)])
def test_kernels_equal_the_plain_reading(rows: list[str]) -> None:
    columns = table(rows)
    counts = s.count_lines(*columns)
    site = int(counts.keys[0])
    pages = [{key_plainly(line)[0] for line in text.split("\n")} - {0} for text in rows]
    plainly = {key: sum(key in page for page in pages) for key in sorted(set().union(*pages))}
    assert dict(zip((counts.keys - np.uint64(site)).tolist(), counts.pages.tolist(), strict=True)) == {
        0: len(rows),
        **plainly,
    }
    frame = {key: key % 3 == 0 for key in plainly if key % 5 < 3}
    lines = s.FrameLines(np.array([site + key for key in frame], np.uint64), np.array(list(frame.values()), np.bool_))
    assert s.remove_lines(*columns, lines).texts.to_pylist() == [remove_plainly(text, frame) for text in rows]


@pytest.mark.parametrize("rows", [[], [""]])
def test_nothing_to_strip(rows: list[str]) -> None:
    assert stripped(rows) == rows
