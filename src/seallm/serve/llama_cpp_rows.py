"""Rows computed by llama.cpp from a GGUF file (`seallm[llama-cpp]`): quantised weights, fast on a CPU.

Scheduling, random draws and scores are ours, as with transformers; llama.cpp has the network and its cache. A cache
has so many places for sequences; a place keeps what it computed when its row ends, and the next row that begins alike
takes that place and computes only the rest. Rows that begin like one in use share its cells.

Shapes: W places whose logits are wanted, V vocabulary.
"""

import ctypes
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from seallm.base.errors import MissingExtra, ModelError
from seallm.base.runtime import available_cores
from seallm.model.llama_cpp_log import silence
from seallm.model.prefix_cache import num_common

FEWEST_CELLS = 256


@dataclass(eq=False)
class Place:
    """A sequence in llama.cpp's cache.

    Attributes:
        number: that llama.cpp knows it by.
        ids: whose keys and values it holds.
        is_used: a row has it.
        last_used: by the clock of its computer.
    """

    number: int
    ids: list[int]
    is_used: bool = False
    last_used: int = 0

    @property
    def num_tokens(self) -> int:
        """Tokens that are computed."""
        return len(self.ids)


def find_gguf(folder: Path) -> Path:
    """The GGUF file in a model folder.

    Raises:
        ModelError: there is none, or more than one.
    """
    files = sorted(folder.glob("*.gguf"))
    if len(files) != 1:
        found = ", ".join(file.name for file in files) or "none"
        raise ModelError(
            f"{folder} holds {found}; expected one GGUF file beside the tokenizer, for llama.cpp. "
            "`seallm export MODEL --to gguf --out DIR` makes such a folder"
        )
    return files[0]


class LlamaCppRows:
    """A computer over llama.cpp.

    Args:
        file: the GGUF file.
        max_rows: rows at once.
        cache_bytes: bound on keys and values, kept ones included.
        step_tokens: prompt tokens read in a step.
        gpu_layers: layers computed on a GPU.

    Attributes:
        model_positions: of the model, of which the cache may hold fewer.

    Raises:
        MissingExtra: llama-cpp-python is not installed.
        ModelError: the file cannot be loaded.
    """

    def __init__(self, file: Path, max_rows: int, cache_bytes: int, *, step_tokens: int, gpu_layers: int = 0) -> None:
        if importlib.util.find_spec("llama_cpp") is None:
            raise MissingExtra("llama-cpp-python", "llama-cpp")
        import llama_cpp

        self._lib: Any = llama_cpp
        llama_cpp.llama_backend_init()
        silence(llama_cpp)
        wanted = llama_cpp.llama_model_default_params()
        wanted.n_gpu_layers = gpu_layers
        self._model = llama_cpp.llama_model_load_from_file(str(file).encode(), wanted)
        if not self._model:
            raise ModelError(f"llama.cpp cannot load {file}. Export the model again, or update llama-cpp-python")
        self.num_ids = int(llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(self._model)))
        self.model_positions = int(llama_cpp.llama_model_n_ctx_train(self._model))
        held = max(cache_bytes // self._token_bytes(), FEWEST_CELLS)
        self.max_sequence_tokens = min(self.model_positions, held)
        self.num_cells = min(held, max_rows * self.max_sequence_tokens)  # llama.cpp takes the memory at once
        self._step_tokens = step_tokens + max_rows
        self._context = llama_cpp.llama_init_from_model(self._model, self._context_settings(max_rows))
        if not self._context:
            raise ModelError(f"llama.cpp has no memory for a cache of {self.num_cells:,} tokens; lower --cache-gib")
        self._memory = llama_cpp.llama_get_memory(self._context)
        self._places = [Place(number, []) for number in range(max_rows)]
        self._clock = 0

    def _token_bytes(self) -> int:
        """Bytes of one token's keys and values, in llama.cpp's float16."""
        lib, model = self._lib, self._model
        usual = lib.llama_model_n_embd(model) // lib.llama_model_n_head(model)
        kind = self._said("general.architecture")
        width = sum(int(self._said(f"{kind}.attention.{part}_length") or usual) for part in ("key", "value"))
        return int(2 * width * lib.llama_model_n_layer(model) * lib.llama_model_n_head_kv(model))

    def _said(self, key: str) -> str:
        """What the file says under a key; nothing where it is silent."""
        found = ctypes.create_string_buffer(80)
        self._lib.llama_model_meta_val_str(self._model, key.encode(), found, len(found))
        return found.value.decode(errors="replace")

    def _context_settings(self, max_rows: int) -> Any:
        wanted = self._lib.llama_context_default_params()
        wanted.n_ctx = self.num_cells
        wanted.n_batch = wanted.n_ubatch = self._step_tokens
        wanted.n_seq_max = max_rows
        wanted.n_threads = wanted.n_threads_batch = available_cores()
        wanted.kv_unified = True  # all sequences share the cells
        wanted.swa_full = True  # sliding windows too can be cut back to a common beginning
        return wanted

    def num_known(self, ids: Sequence[int]) -> int:
        """How many of the first ids some place holds."""
        return max(num_common(place.ids, ids) for place in self._places)

    def begin(self, ids: Sequence[int], room: int) -> Place | None:
        """The free place that holds most of the ids; where one in use holds more, another free one shares its cells."""
        free = [place for place in self._places if not place.is_used]
        if not free:
            return None
        best = max(self._places, key=lambda place: (num_common(place.ids, ids), not place.is_used))
        known = num_common(best.ids, ids)
        place = min(free, key=lambda place: place.last_used) if best.is_used or not known else best
        place.is_used = True
        if place is best:
            self._cut(place, known)
        else:
            self._cut(place, 0)
            self._lib.llama_memory_seq_cp(self._memory, best.number, place.number, 0, known)
            place.ids[:] = ids[:known]
        if not self.has_room(place, room - place.num_tokens):
            place.is_used = False
            return None
        return place

    def has_room(self, row: Place, tokens: int) -> bool:
        """Have free cells, by forgetting what was kept for longest."""
        while sum(place.num_tokens for place in self._places) + tokens > self.num_cells:
            kept = [place for place in self._places if not place.is_used and place.ids]
            if not kept:
                return False
            self._cut(min(kept, key=lambda place: place.last_used), 0)
        return True

    def compute(self, work: Sequence[tuple[Place, Sequence[int]]], wanted: Sequence[int]) -> torch.Tensor:
        """One decode for all rows.

        Raises:
            ModelError: llama.cpp failed.
        """
        lib, tokens = self._lib, [(row, i) for row, ids in work for i in ids]
        batch = lib.llama_batch_init(len(tokens), 0, 1)
        try:
            batch.n_tokens = len(tokens)
            asked = set(wanted)
            for n, (row, token_id) in enumerate(tokens):
                batch.token[n], batch.pos[n] = token_id, row.num_tokens
                batch.n_seq_id[n], batch.seq_id[n][0] = 1, row.number
                batch.logits[n] = n in asked
                row.ids.append(token_id)
            status = lib.llama_decode(self._context, batch)
        finally:
            lib.llama_batch_free(batch)
        if status != 0:
            for row, ids in work:
                self._cut(row, row.num_tokens - len(ids))
            raise ModelError(f"llama.cpp could not compute a step (status {status})")
        found = [np.ctypeslib.as_array(lib.llama_get_logits_ith(self._context, n), (self.num_ids,)) for n in wanted]
        return torch.from_numpy(np.stack(found)) if found else torch.empty(0, self.num_ids)

    def keep(self, row: Place, ids: Sequence[int]) -> None:
        """Nothing to do: a place keeps what it holds."""

    def end(self, row: Place, ids: Sequence[int]) -> None:
        """Give the place back, with what it holds of these ids."""
        self._clock += 1
        row.is_used, row.last_used = False, self._clock
        self._cut(row, len(ids))

    def clear(self) -> None:
        """Empty all places."""
        for place in self._places:
            place.is_used = False
            self._cut(place, 0)

    def _cut(self, place: Place, num_tokens: int) -> None:
        """Forget all but the first tokens of a place."""
        if num_tokens == place.num_tokens:
            return
        del place.ids[num_tokens:]
        if not self._lib.llama_memory_seq_rm(self._memory, place.number, num_tokens, -1):
            self._lib.llama_memory_seq_rm(self._memory, place.number, 0, -1)  # a kind of cache that cannot be cut
            place.ids.clear()

    @property
    def num_cached_tokens(self) -> int:
        """Cells of the cache."""
        return self.num_cells

    @property
    def num_kept_tokens(self) -> int:
        """Tokens that free places hold."""
        return sum(place.num_tokens for place in self._places if not place.is_used)
