"""What every compiled kernel needs: the decorator, and Arrow strings as arrays that numba can read.

Kernels read UTF-8 bytes without checking them, so strings are validated here, once, before any kernel sees them. Keep
argument types the same in every call (int64 offsets, read-only uint8 bytes): each new combination is compiled anew.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from seallm.base.errors import DataError

Function = TypeVar("Function", bound=Callable[..., Any])


def kernel(function: Function) -> Function:
    """Compile on first call, without the interpreter lock; later processes load the result from the disk cache."""
    compiled: Function = numba.njit(function, nogil=True, cache=True)
    return compiled


def string_buffers(strings: pa.Array | pa.ChunkedArray) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
    """An Arrow string array as (offsets, bytes): string i is `bytes[offsets[i]:offsets[i + 1]]`, valid UTF-8.

    Args:
        strings: n strings without nulls.

    Returns:
        offsets (n + 1,) int64 and the bytes they point into; both read-only views where Arrow's layout allows it.

    Raises:
        DataError: a string is null or not valid UTF-8.
    """
    array = strings.combine_chunks() if isinstance(strings, pa.ChunkedArray) else strings
    array = array.cast(pa.large_string())
    try:
        array.validate(full=True)
    except pa.ArrowInvalid as error:
        raise DataError(f"A text is not valid UTF-8 ({error}); repair it before it is measured") from None
    if array.null_count:
        raise DataError(f"{array.null_count} of {len(array)} texts are null; drop them before they are measured")
    _, offsets, data = array.buffers()
    view = (
        np.frombuffer(offsets, np.int64)[array.offset : array.offset + len(array) + 1]
        if len(array)
        else np.zeros(1, np.int64)
    )
    content = np.frombuffer(data, np.uint8) if data is not None and data.size else np.zeros(1, np.uint8)
    content.flags.writeable = view.flags.writeable = False
    return view, content
