import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from seallm.corpus.hashing import extend, hash_strings, mix, word_key
from tests.corpus import reference


def fnv(content: bytes) -> int:
    value = 0xCBF29CE484222325
    for byte in content:
        value = (value ^ byte) * 0x100000001B3 & reference.MASK
    return reference.mix(value)


@settings(deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=30), max_size=5))
def test_hash_strings(strings: list[str]) -> None:
    assert hash_strings(pa.array(strings, pa.string())).tolist() == [fnv(s.encode()) for s in strings]


@settings(deadline=None)
@given(st.lists(st.integers(0, 0x10FFFF), max_size=20))
def test_kernel_and_python_agree_on_words(codes: list[int]) -> None:
    value = np.uint64(0)
    for code in codes:
        value = np.uint64(extend(value, np.uint64(code)))
    assert mix(value) == word_key(codes) == reference.sequence_hash(codes)


def test_hashes_spread_evenly() -> None:
    values = hash_strings(pa.array([f"document-{i}" for i in range(10_000)]))
    counts = np.histogram(values.astype(np.float64), bins=10, range=(0, 2.0**64))[0]
    assert abs(counts - 1_000).max() < 130  # four standard deviations
