"""What a stage will cost, before it is run: tokens it trains on and disk it takes. Rough by design; says "about"."""

from collections.abc import Sequence

from pydantic import BaseModel

from seallm.base.places import Place, place_size, place_suffixes
from seallm.recipe import Base, Prefer
from seallm.recipe_training import Dpo, Hybrid, Pretrain, Sft, TrainBase
from seallm.recipe_vocab import Vocab

UNPACKED_SHARE = {".gz": 4.0, ".zst": 4.5, ".parquet": 2.5}  # bytes of text for a stored byte, seen on web pages
TOKENS_PER_BYTE = 0.3
FLOAT_BYTES = 4


def estimate(name: str, settings: BaseModel, files: Sequence[Place]) -> str:
    """One phrase such as "about 1.2 M tokens, 4 MB on disk"."""
    text_bytes = sum(place_size(file) * _unpacked_share(file) for file in files)
    tokens, disk_bytes = _tokens_and_disk(settings, text_bytes)
    parts = [f"{_short(tokens)} tokens"] if tokens else []
    parts += [f"{_short(disk_bytes)}B on disk"] if disk_bytes else []
    return "about " + ", ".join(parts) if parts else ("a page" if name == "report" else "small")


def _unpacked_share(file: Place) -> float:
    return UNPACKED_SHARE.get("".join(place_suffixes(file)[-1:]), 1.0)


def _tokens_and_disk(settings: BaseModel, text_bytes: float) -> tuple[float, float]:
    match settings:
        case Base(train=TrainBase() as train):
            return train.steps * train.batch_tokens, parameters(train) * FLOAT_BYTES
        case Pretrain():
            return sum(mixture.tokens or 0 for mixture in settings.mixtures), 0
        case Hybrid():
            return settings.tokens, 0
        case Sft() | Dpo():  # of pairs that [prefer] will make nothing is known yet
            return settings.epochs * text_bytes * TOKENS_PER_BYTE, 0
        case Prefer():
            return settings.max_prompts * settings.answers_per_prompt * settings.max_new_tokens, 0
        case Vocab():
            return 0, settings.new_tokens * 60
    return 0, text_bytes / 3


def parameters(train: TrainBase) -> int:
    """Weights of the tiny base model: tied embeddings, and blocks of attention and a gated MLP of width 8/3."""
    block = 4 * train.hidden_size**2 + 3 * train.hidden_size * (train.hidden_size * 8 // 3)
    return train.vocabulary_tokens * train.hidden_size + train.layers * block


def _short(number: float) -> str:
    for size, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number:.0f} "
