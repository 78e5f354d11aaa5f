"""Pairs in, log-probabilities of their answers out; those of the reference model are computed once and kept on disk.

The file's name holds a fingerprint of model, tokenizer, number type and pairs: another beta or learning rate finds it
again, in the folder being built or in the one that it will replace.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel

from seallm.base.artifacts import StageContext
from seallm.base.files import atomic_writer, file_fingerprint, fingerprint
from seallm.base.runtime import Runtime, own_place
from seallm.train.device import micro_batch_tokens
from seallm.train.pairs import Pair, answer_log_probabilities, collate_pairs, own_parts
from seallm.train.processes import Share, barrier, from_first, sum_tensor
from seallm.train.sharding import computed_in
from seallm.train.start import MODEL


def cached_log_probabilities(
    context: StageContext, model: PreTrainedModel, name: str, pairs: Sequence[Pair]
) -> NDArray[np.float32]:
    """Log-probabilities under the model as it came, (2, pairs); read from disk where they are of just these inputs."""
    folder = context.inputs["model"] / MODEL
    files = sorted(p for p in folder.iterdir() if p.suffix in (".safetensors", ".json"))
    marks = [[p.name, file_fingerprint(p)] for p in files]
    kind = str(context.runtime.torch_dtype())
    key = fingerprint([marks, kind, [[p.prompt, p.chosen, p.rejected] for p in pairs]])
    path: Path = context.out / f"reference.{name}.{key[:16]}.npy"
    earlier = context.out.with_name(context.out.name.removesuffix(".partial")) / path.name
    if not from_first(path.is_file):
        is_there = from_first(earlier.is_file)
        found = None if is_there else log_probabilities_of(model, pairs, context.runtime)
        if own_place().rank == 0:
            with atomic_writer(path) as file:
                if found is None:
                    file.write(earlier.read_bytes())
                else:
                    np.save(file, found)
        barrier()
    cached: NDArray[np.float32] = np.load(path, allow_pickle=False)
    return cached


@torch.no_grad()
def log_probabilities_of(
    model: PreTrainedModel, pairs: Sequence[Pair], runtime: Runtime, *, alone: bool = False
) -> NDArray[np.float32]:
    """Log-probabilities of the chosen and the rejected answers in nats, (2, pairs).

    In the number type that training computes in, so that both round alike; each process does its share, or, where
    `alone`, the one that calls does all.
    """
    model.eval()
    place, device = own_place(), model.device
    found = torch.zeros(2, len(pairs), dtype=torch.float64, device=device)
    tokens = micro_batch_tokens(model, runtime, place.processes)
    share = Share(micro_batch_tokens=tokens) if alone else Share(place.rank, place.processes, tokens)
    for own in own_parts(range(len(pairs)), pairs, share) if pairs else []:
        if own:
            batch = collate_pairs([pairs[i] for i in own], torch.zeros(2, len(own)), 0.0, device)
            with computed_in(model, runtime.torch_dtype()):
                values = answer_log_probabilities(model, batch)
            found[:, torch.tensor(own, device=device)] = values.double()
    return (found if alone else sum_tensor(found)).float().cpu().numpy()
