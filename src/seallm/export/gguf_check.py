"""A GGUF file and the folder it was made from in; what is equal, and how far the rest is, out.

Tensors are read back and compared with the folder's. Token ids of texts in all languages are compared: by llama.cpp
where it is installed, else by other programs given what the file holds: the tokenizers library behind llama.cpp's own
regex, or sentencepiece with the file's scores. Greedy output is compared: llama.cpp's, else that of transformers' own
GGUF reader.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from seallm.base.errors import ModelError
from seallm.base.runtime import Runtime
from seallm.base.sampling import SamplingSettings
from seallm.export.gguf_file import Conversion, GgufType, stored
from seallm.export.gguf_vocabulary import BYTE_LEVEL
from seallm.export.llama_cpp_reader import LlamaCpp, has_llama_cpp
from seallm.export.pre_tokenizers import as_llama_cpp, by_name, different_share
from seallm.export.sentencepiece_reader import sentencepiece_encoder
from seallm.model.checkpoints import load_model
from seallm.model.generation import generate
from seallm.vocab.base_tokenizer import BpeTokenizer

PROMPT_TOKENS, GREEDY_TOKENS = 24, 16
# of a tensor's largest number: half a step of the type, and rounding
_TOLERANCES: Mapping[GgufType, float] = {"f32": 0.0, "f16": 2**-11, "bf16": 2**-8, "q8_0": 1 / 254 + 2**-11}


@dataclass(frozen=True)
class Check:
    """What was found.

    Attributes:
        tensors: number compared.
        largest_difference: of a weight to the folder's, as a share of its tensor's largest.
        ids_by: which program cut the texts.
        texts: number compared.
        different_share: of the tokens of each language, those that program cuts otherwise.
        greedy_by: which program continued the prompts; None: not compared.
        prompts: number continued.
        equal_prompts: those continued alike to the last token.
        equal_tokens: tokens before the first difference, of all prompts.
        greedy_tokens: tokens asked of each prompt.
    """

    tensors: int
    largest_difference: float
    ids_by: str
    texts: int
    different_share: Mapping[str, float]
    greedy_by: str | None = None
    prompts: int = 0
    equal_prompts: int = 0
    equal_tokens: int = 0
    greedy_tokens: int = GREEDY_TOKENS

    def as_json(self) -> dict[str, Any]:
        """For the export's own record."""
        return asdict(self)


def check_gguf(
    file: Path,
    conversion: Conversion,
    tokenizer: BpeTokenizer,
    texts: Mapping[str, Sequence[str]],
    *,
    compares_output: bool,
) -> Check:
    """Read a written file back.

    Args:
        file: the GGUF file.
        conversion: what it was written from.
        tokenizer: the folder's.
        texts: by language.
        compares_output: continue prompts by both models, which must fit the memory together.

    Raises:
        ModelError: a tensor is not what was written, or a program does not load the file.
    """
    from gguf import GGUFReader

    reader = GGUFReader(str(file))
    largest = _compare_tensors(reader, conversion)
    program, encode = _encoder(file, reader, tokenizer)
    shares = {code: _different(tokenizer, lines, encode) for code, lines in texts.items()}
    found = Check(len(conversion.tensors), largest, program, sum(map(len, texts.values())), shares)
    if not compares_output or not (has_llama_cpp() or _is_read_by_transformers(conversion)):
        return found
    prompts = [tokenizer.tokenizer.encode(lines[0], add_special_tokens=False).ids for lines in texts.values()]
    return _compare_output(found, file, conversion.folder, [ids[:PROMPT_TOKENS] for ids in prompts])


def _compare_tensors(reader: Any, conversion: Conversion) -> float:
    """The largest difference of a weight, as a share of its tensor's largest."""
    import gguf

    written = {tensor.name: tensor for tensor in reader.tensors}
    largest = 0.0
    for tensor, numbers in conversion.values():
        found = written.get(tensor.name)
        wanted = numbers.numpy()
        if found is None or not np.array_equal(np.asarray(found.data).view(np.uint8), stored(tensor, wanted)):
            raise ModelError(f"{tensor.name} is not in the file as it was written; check the disk and export again")
        back = gguf.dequantize(found.data, found.tensor_type).reshape(wanted.shape)
        scale = float(np.abs(wanted).max(initial=0.0)) or 1.0
        difference = float(np.abs(back - wanted).max(initial=0.0)) / scale
        if difference > _TOLERANCES[tensor.type] + 1e-6:
            raise ModelError(f"{tensor.name} differs by {difference:.2g} of its largest number from the model's")
        largest = max(largest, difference)
    return largest


def _encoder(
    file: Path, reader: Any, tokenizer: BpeTokenizer
) -> tuple[str, Callable[[Sequence[str]], list[list[int]]]]:
    """A program that knows the file's vocabulary alone, and how it cuts texts."""
    if has_llama_cpp():
        llama = LlamaCpp(file)
        return "llama.cpp", lambda texts: [llama.encode(text) for text in texts]
    fields = {name: field.contents() for name, field in reader.fields.items() if name.startswith("tokenizer.ggml.")}
    tokens = fields["tokenizer.ggml.tokens"]
    if fields["tokenizer.ggml.model"] != BYTE_LEVEL:
        return "sentencepiece", sentencepiece_encoder(
            tokens,
            fields["tokenizer.ggml.scores"],
            fields["tokenizer.ggml.token_type"],
            adds_space=bool(fields["tokenizer.ggml.add_space_prefix"]),
        )
    known = by_name(fields["tokenizer.ggml.pre"])
    assert known is not None, "the file's pre-tokenizer was chosen from the list"
    numbers = {token: token_id for token_id, token in enumerate(tokens)}
    model = {
        **tokenizer.document["model"],
        "vocab": numbers,
        "merges": [tuple(merge.split(" ", 1)) for merge in fields["tokenizer.ggml.merges"]],
    }
    theirs = as_llama_cpp({**tokenizer.document, "model": model}, known)
    return "the tokenizers library behind llama.cpp's regex", lambda texts: [
        encoding.ids for encoding in theirs.encode_batch_fast(list(texts), add_special_tokens=False)
    ]


def _different(
    tokenizer: BpeTokenizer, texts: Sequence[str], encode: Callable[[Sequence[str]], list[list[int]]]
) -> float:
    wanted = [each.ids for each in tokenizer.tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]
    return different_share(tokenizer, wanted, encode(texts))


def _compare_output(found: Check, file: Path, folder: Path, prompts: Sequence[Sequence[int]]) -> Check:
    runtime = Runtime(1, torch.get_num_threads(), "cpu", "float32", False)
    ours = _continuations(load_model(folder, runtime), prompts)
    if has_llama_cpp():
        program = "llama.cpp"
        llama = LlamaCpp(file, PROMPT_TOKENS + GREEDY_TOKENS)
        theirs = [llama.continuation(ids, GREEDY_TOKENS) for ids in prompts]
        llama.close()
    else:
        program = "transformers' GGUF reader"
        theirs = _continuations(_by_transformers(file), prompts)
    equal = [
        next((n for n, (a, b) in enumerate(zip(x, y, strict=True)) if a != b), GREEDY_TOKENS)
        for x, y in zip(ours, theirs, strict=True)
    ]
    return Check(
        **{
            **found.as_json(),
            "greedy_by": program,
            "prompts": len(prompts),
            "equal_prompts": sum(count == GREEDY_TOKENS for count in equal),
            "equal_tokens": sum(equal),
        }
    )


def _is_read_by_transformers(conversion: Conversion) -> bool:
    """Its GGUF reader passes over scaled positions and the size of heads."""
    config, head_size = conversion.architecture.config, conversion.architecture.head_size
    is_usual = bool(head_size * config.num_attention_heads == config.hidden_size)
    return is_usual and str(config.rope_parameters["rope_type"]) == "default"


def _continuations(model: Any, prompts: Sequence[Sequence[int]]) -> list[list[int]]:
    settings = SamplingSettings(GREEDY_TOKENS, temperature=0.0)
    return [answers[0] for answers in generate(model, prompts, (), settings, len(prompts))]


def _by_transformers(file: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(
        str(file.parent), gguf_file=file.name, local_files_only=True, dtype=torch.float32, attn_implementation="sdpa"
    ).eval()
