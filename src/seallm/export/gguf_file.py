"""A Hugging Face folder in, a GGUF file out; one tensor is in memory at a time.

Matrices are written in the asked number type, vectors (norms, biases) in float32. `q8_0` keeps 32 numbers of a row as
bytes with one scale; a matrix whose rows are no multiple of 32 long is kept in float16.
"""

import importlib.util
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from safetensors import safe_open

from seallm.base.errors import MissingExtra, ModelError
from seallm.export.gguf_architectures import (
    ROPE_FACTORS,
    Architecture,
    add_settings,
    read_architecture,
    tensor_names,
)
from seallm.export.gguf_vocabulary import Vocabulary, add_vocabulary, make_vocabulary
from seallm.model.checkpoints import check_folder, load_tokenizer
from seallm.vocab.base_tokenizer import load_bpe

GgufType = Literal["f32", "f16", "bf16", "q8_0"]
GGUF_TYPES = get_args(GgufType)
Q8_ROW = 32
MAX_FLOAT16 = 65504.0
_FILE_TYPES = {"f32": "ALL_F32", "f16": "MOSTLY_F16", "bf16": "MOSTLY_BF16", "q8_0": "MOSTLY_Q8_0"}


@dataclass(frozen=True)
class Tensor:
    """One tensor to write.

    Attributes:
        name: GGUF's.
        shape: of the numbers.
        type: that it is stored in.
        file: that it is read from; None: it is computed.
        source: its name there.
    """

    name: str
    shape: tuple[int, ...]
    type: GgufType
    file: Path | None
    source: str


@dataclass(frozen=True)
class Conversion:
    """A model on its way to a GGUF file."""

    folder: Path
    architecture: Architecture
    vocabulary: Vocabulary
    tensors: Sequence[Tensor]

    def values(self) -> Iterator[tuple[Tensor, torch.Tensor]]:
        """Each tensor with its float32 numbers as llama.cpp wants them, in the order of the file."""
        for tensor in self.tensors:
            if tensor.file is None:
                factors = self.architecture.rope_factors()
                assert factors is not None
                yield tensor, factors
                continue
            with safe_open(tensor.file, framework="pt") as opened:
                numbers = opened.get_tensor(tensor.source).float()
            yield tensor, self.architecture.arranged(tensor.source, numbers).contiguous()


def plan_conversion(folder: Path, wanted: GgufType, texts: Sequence[str]) -> Conversion:
    """Read all but the weights, so that what cannot be exported is told at once.

    Args:
        folder: the model's.
        wanted: number type of the matrices.
        texts: to find the pre-tokenizer by.

    Raises:
        MissingExtra: gguf is not installed.
        ModelError: the architecture is not supported, or tokenizer and weights do not fit.
        VocabError: the tokenizer is no BPE that spells every text.
    """
    if importlib.util.find_spec("gguf") is None:
        raise MissingExtra("gguf", "gguf")
    check_folder(folder)
    architecture = read_architecture(folder)
    shapes = _shapes(folder)
    names = tensor_names(architecture, shapes)
    tensors = [
        Tensor(theirs, shapes[ours][0], _type_of(shapes[ours][0], wanted), shapes[ours][1], ours)
        for ours, theirs in names.items()
    ]
    factors = architecture.rope_factors()
    if factors is not None:
        tensors.insert(0, Tensor(ROPE_FACTORS, tuple(factors.shape), "f32", None, ""))
    rows = next((t.shape[0] for t in tensors if t.name == "token_embd.weight"), None)
    if rows is None:
        raise ModelError(f"{folder} has no embedding (model.embed_tokens.weight); it holds {len(tensors)} tensors")
    return Conversion(folder, architecture, make_vocabulary(load_bpe(folder), folder, rows, texts), tensors)


def _shapes(folder: Path) -> dict[str, tuple[tuple[int, ...], Path]]:
    """Shape and file of each tensor, by name, sorted by file."""
    found: dict[str, tuple[tuple[int, ...], Path]] = {}
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, framework="pt") as opened:
            for name in opened.keys():  # noqa: SIM118  the file is no dictionary
                found[name] = (tuple(opened.get_slice(name).get_shape()), file)
    return found


def _type_of(shape: tuple[int, ...], wanted: GgufType) -> GgufType:
    if len(shape) < 2:
        return "f32"
    return "f16" if wanted == "q8_0" and shape[-1] % Q8_ROW else wanted


def write_gguf(conversion: Conversion, out: Path, name: str, wanted: GgufType) -> None:
    """Write the file.

    Args:
        conversion: what to write.
        out: the file.
        name: of the model, for people.
        wanted: number type of the matrices.

    Raises:
        ModelError: a weight is too large for float16.
    """
    import gguf

    writer = gguf.GGUFWriter(str(out), conversion.architecture.name)
    writer.add_name(name)
    writer.add_type(gguf.GGUFType.MODEL)
    writer.add_file_type(gguf.LlamaFileType[_FILE_TYPES[wanted]])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    add_settings(writer, conversion.architecture)
    add_vocabulary(writer, conversion.vocabulary, load_tokenizer(conversion.folder))
    for tensor in conversion.tensors:
        kind = gguf.GGMLQuantizationType[tensor.type.upper()]
        shape = gguf.quant_shape_to_byte_shape(tensor.shape, kind)
        num_bytes = int(np.prod(shape))
        writer.add_tensor_info(tensor.name, shape, np.dtype(np.uint8), num_bytes, kind)
    try:
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for tensor, numbers in conversion.values():
            writer.write_tensor_data(stored(tensor, numbers.numpy()))
    finally:
        writer.close()


def stored(tensor: Tensor, numbers: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The bytes of a tensor in its number type.

    Raises:
        ModelError: a weight is too large for float16, or not finite.
    """
    import gguf

    largest = float(np.abs(numbers).max(initial=0.0))
    if not np.isfinite(largest):
        raise ModelError(f"{tensor.source} holds numbers that are not finite: the model is damaged")
    if tensor.type == "f16" and largest > MAX_FLOAT16:
        raise ModelError(f"{tensor.source} holds {largest:.3g}, beyond float16. Use --type bf16 or f32")
    packed = gguf.quantize(numbers, gguf.GGMLQuantizationType[tensor.type.upper()])
    return np.ascontiguousarray(packed).view(np.uint8)
