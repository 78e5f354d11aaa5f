"""A GGUF file in; ids and greedy continuations as llama.cpp computes them out (`seallm[llama-cpp]`)."""

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from seallm.base.errors import ModelError
from seallm.model.llama_cpp_log import silence

_FLOAT32 = 0  # ggml's number of it; the cache is in float16 by default, and would blur what is compared


def has_llama_cpp() -> bool:
    """True where llama-cpp-python is installed."""
    return importlib.util.find_spec("llama_cpp") is not None


class LlamaCpp:
    """A GGUF file loaded by llama.cpp.

    Args:
        file: the GGUF file.
        context_tokens: longest text; absent: the vocabulary alone is loaded.

    Raises:
        ModelError: llama.cpp does not load it.
    """

    def __init__(self, file: Path, context_tokens: int | None = None) -> None:
        import llama_cpp

        silence(llama_cpp)
        threads = torch.get_num_threads()
        try:
            self._llama: Any = llama_cpp.Llama(
                str(file),
                n_ctx=context_tokens or 1,
                vocab_only=context_tokens is None,
                n_threads=threads,
                n_threads_batch=threads,
                type_k=_FLOAT32,
                type_v=_FLOAT32,
                verbose=False,
            )
        except ValueError as error:
            raise ModelError(f"llama.cpp does not load {file}: {error}. Update llama-cpp-python") from None

    def encode(self, text: str) -> list[int]:
        """Ids of a text, in which nothing is a control token."""
        return list(self._llama.tokenize(text.encode("utf-8"), add_bos=False, special=False))

    def continuation(self, ids: Sequence[int], num_tokens: int) -> list[int]:
        """The likeliest next tokens, each after those before."""
        self._llama.reset()
        found: list[int] = []
        for token_id in self._llama.generate(list(ids), temp=0.0, repeat_penalty=1.0):
            found.append(int(token_id))
            if len(found) == num_tokens:
                break
        return found

    def close(self) -> None:
        """Give the memory back."""
        self._llama.close()
