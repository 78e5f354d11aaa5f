from pathlib import Path

import pytest

from seallm.base.errors import DataError
from seallm.parallel_folder import has_halves, languages_in, read_parallel
from tests.vocab.tiny import sentences, write_parallel

# "Burmese is spoken in Burma" in the Zawgyi encoding, and in Unicode
ZAWGYI = "ျမန္မာႏိုင္ငံမွာ ျမန္မာစကား ေျပာၾကပါတယ္"
UNICODE = "မြန်မာနိုင်ငံမှာ မြန်မာစကား ပြောကြပါတယ်"


def write(folder: Path, **lines: list[str]) -> Path:
    folder.mkdir(exist_ok=True)
    for name, some in lines.items():
        (folder / f"{name.replace('_', '.')}.txt").write_text("\n".join(some) + "\n", encoding="utf-8")
    return folder


def test_halves(tmp_path: Path) -> None:
    folder = write_parallel(tmp_path / "parallel", ("th", "en", "id"), 20)
    assert has_halves(folder)
    assert languages_in(folder) == ("en", "id", "th")
    assert read_parallel(folder, "dev").raw["th"] == sentences("dev", "th", 20)
    assert read_parallel(folder, "test", ("th", "en")).languages == ("th", "en")
    assert len(read_parallel(folder, None).raw["en"]) == 40


def test_files_without_halves_are_cut_in_two(tmp_path: Path) -> None:
    lines = [f"line {number}" for number in range(11)]
    folder = write(tmp_path / "parallel", en=lines, id=lines[::-1])
    assert not has_halves(folder)
    assert read_parallel(folder, "dev").raw["en"] == lines[:9]
    assert read_parallel(folder, "test").raw["id"] == lines[::-1][9:]
    assert read_parallel(folder, None).raw["en"] == lines


def test_a_wrong_encoding_is_noted_and_converted(tmp_path: Path) -> None:
    folder = write(tmp_path / "parallel", en=["a"] * 4, my=[ZAWGYI] * 3 + [UNICODE], id=["Ã¼ber â€“ x"] + ["b"] * 3)
    found = read_parallel(folder, None)
    assert found.raw["my"][0] == ZAWGYI
    assert found.canonical["my"] == [UNICODE] * 4
    notes = {note[:2]: note for note in found.notes}
    assert "75.0% of the lines are in the Zawgyi encoding, not Unicode" in notes["my"]
    assert "25.0% of the lines were decoded in a wrong encoding" in notes["id"]
    assert "en" not in notes


def test_zero_width_spaces_and_lost_characters_are_noted(tmp_path: Path) -> None:
    folder = write(tmp_path / "parallel", en=["a", "b"], km=["ភាសា\u200bខ្មែរ", "ខ្មែរ"], lo=["ລາ\ufffdວ", "ລາວ"])
    found = read_parallel(folder, None)
    assert found.canonical["km"] == ["ភាសាខ្មែរ", "ខ្មែរ"]
    assert any(note.startswith("km: ") and "zero-width spaces per 1,000 characters" in note for note in found.notes)
    assert any(note.startswith("lo: 50.0% of the lines hold U+FFFD") for note in found.notes)


def test_what_can_be_wrong(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no parallel sentences"):
        languages_in(tmp_path / "nothing")
    (tmp_path / "readme.md").write_text("x")
    with pytest.raises(DataError, match=r"found: readme\.md"):
        read_parallel(tmp_path, None)
    folder = write(tmp_path / "parallel", en=["a", "b"], id=["a"])
    with pytest.raises(DataError, match=r"id\.txt has 1 lines and en\.txt has 2") as caught:
        read_parallel(folder, None)
    assert "\n" not in str(caught.value)
