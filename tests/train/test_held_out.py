from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from transformers import PreTrainedTokenizerFast

from seallm.base.errors import DataError
from seallm.base.records import DOCUMENT_SCHEMA
from seallm.model.plain_text import PlainText
from seallm.model.scoring import bits_per_byte
from seallm.train import held_out
from seallm.train.held_out import measure_bits_per_byte, read_held_out, sample_figures
from tests.train.conftest import ENGLISH, THAI, tiny_llama, write_documents


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    rows = [
        {"id": str(n), "text": text, "language": "en", "tier": "high" if n % 2 else "low"}
        for n, text in enumerate(ENGLISH)
    ]
    (tmp_path / "held_out").mkdir()
    pq.write_table(pa.Table.from_pylist(rows, DOCUMENT_SCHEMA), tmp_path / "held_out" / "en.parquet")
    write_documents(tmp_path / "held_out" / "th.parquet", THAI, "th")
    write_documents(tmp_path / "held_out" / "lo.parquet", [], "lo")
    return tmp_path


def test_languages_tiers_and_sample(
    corpus: Path, tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(held_out, "SAMPLE_BYTES", len(ENGLISH[0]) + 1)  # the first two English documents
    model = tiny_llama(len(tokenizer))
    found = read_held_out(corpus, ("en", "th", "lo", "vi"))
    assert found.documents.keys() == {"en", "th"}

    def expected(texts: list[str]) -> float:
        return bits_per_byte(model, PlainText(tokenizer), texts, 64).value

    rows = measure_bits_per_byte(model, tokenizer, found, 64, full=True)
    by_key = {(row["language"], row["tier"]): row for row in rows}
    assert by_key.keys() == {("en", "all"), ("en", "high"), ("en", "low"), ("th", "all")}
    assert by_key["en", "all"]["bits_per_byte"] == pytest.approx(expected(ENGLISH), rel=1e-6)
    assert by_key["en", "all"]["sample_bits_per_byte"] == pytest.approx(expected(ENGLISH[:2]), rel=1e-6)
    assert by_key["en", "high"]["bits_per_byte"] == pytest.approx(expected(ENGLISH[1::2]), rel=1e-6)
    assert by_key["en", "low"]["documents"] == 2
    assert by_key["th", "all"]["bytes"] == sum(len(text.encode()) for text in THAI)

    part = measure_bits_per_byte(model, tokenizer, found, 64, full=False)
    assert [row["full"] for row in part] == [False] * 4
    assert part[0]["documents"] == 2
    assert part[0]["bits_per_byte"] == part[0]["sample_bits_per_byte"]
    logged = [{"step": step, **row} for step, own in (("base", rows), (0, rows), (5, part)) for row in own]
    figures = sample_figures(logged)
    assert figures.keys() == {"base", 0, 5}
    assert (
        figures[5]
        == figures[0]
        == pytest.approx({"en": expected(ENGLISH[:2]), "th": by_key["th", "all"]["sample_bits_per_byte"]})
    )


def test_a_damaged_file_is_named(corpus: Path) -> None:
    (corpus / "held_out" / "th.parquet").write_bytes(b"PAR1 cut short")
    with pytest.raises(DataError, match=r"held_out.th\.parquet cannot be read"):
        read_held_out(corpus, ("en", "th"))
