import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seallm.base.errors import DataError
from seallm.corpus.scores import figures_of, score_maps

CODES = st.sampled_from(["en", "vi", "th", "ms", "fr"])
SHARES = st.dictionaries(CODES, st.floats(0, 1, width=32), max_size=4)


@given(st.lists(st.tuples(st.floats(0, 9, width=32), SHARES), min_size=1, max_size=8))
def test_there_and_back(documents: list[tuple[float, dict[str, float]]]) -> None:
    values = np.array([value for value, _ in documents], np.float32)
    column = score_maps({"a": values, "b": values + 1}, {row: s for row, (_, s) in enumerate(documents) if s})
    assert column.type == pa.map_(pa.string(), pa.float32())
    for start in (0, len(documents) // 2):
        found = figures_of(column[start:])
        assert list(found) == ["a", "b"] if len(column[start:]) else found == {}
        np.testing.assert_array_equal(found["a"], values[start:])
        np.testing.assert_array_equal(found["b"], values[start:] + 1)


def test_languages_are_named_where_there_are_several() -> None:
    figures = {"language": np.array([0.5, 0.9, 0.6], np.float32)}
    column = score_maps(figures, {0: {"vi": 0.75, "en": 0.245, "fr": 0.005}, 2: {"th": 1.0}})
    names = [[name for name, _ in row] for row in column.to_pylist()]
    assert names == [["language", "language_share_vi", "language_share_en"], ["language"], ["language"]]
    assert dict(column[0].as_py())["language_share_vi"] == 0.75


def test_documents_with_other_figures() -> None:
    rows = [[("a", 1.0), ("b", 2.0)], [("a", 1.0), ("c", 2.0)]]
    with pytest.raises(DataError, match="different scores"):
        figures_of(pa.array(rows, pa.map_(pa.string(), pa.float32())))
    with pytest.raises(DataError, match="different scores"):
        figures_of(pa.array([rows[0], rows[0][:1]], pa.map_(pa.string(), pa.float32())))
