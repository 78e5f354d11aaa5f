from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest

from seallm.base.errors import DataError
from seallm.base.kernels import kernel, string_buffers


@kernel
def total_bytes(offsets: np.ndarray, data: np.ndarray) -> int:
    total = 0
    for position in range(offsets[0], offsets[-1]):
        total += data[position]
    return total


def strings_of(offsets: np.ndarray, data: np.ndarray) -> list[str]:
    return [data[a:b].tobytes().decode() for a, b in pairwise(offsets)]


@pytest.mark.parametrize(
    "array",
    [
        pa.array(["a", "", "ข้าว"]),
        pa.array(["a", "", "ข้าว"], pa.large_string()),
        pa.array(["x", "a", "", "ข้าว", "y"])[1:4],
        pa.chunked_array([["a"], ["", "ข้าว"]]),
        pa.array(["a", "", "ข้าว"]).dictionary_encode(),
    ],
)
def test_strings_of_all_layouts(array: pa.Array) -> None:
    offsets, data = string_buffers(array)
    assert (offsets.dtype, data.dtype) == (np.int64, np.uint8)
    assert strings_of(offsets, data) == ["a", "", "ข้าว"]
    assert total_bytes(offsets, data) == sum("aข้าว".encode())


@pytest.mark.parametrize("array", [pa.array([], pa.string()), pa.array(["", ""])])
def test_nothing_to_read(array: pa.Array) -> None:
    offsets, data = string_buffers(array)
    assert len(offsets) == len(array) + 1
    assert total_bytes(offsets, data) == 0


def test_one_compiled_version_serves_all_layouts() -> None:
    for array in (pa.array([], pa.string()), pa.array(["a"]), pa.array(["a", "b"], pa.large_string())[1:]):
        total_bytes(*string_buffers(array))
    assert len(total_bytes.signatures) == 1


def test_nulls_are_refused() -> None:
    with pytest.raises(DataError, match="1 of 2 texts are null"):
        string_buffers(pa.array(["a", None]))
