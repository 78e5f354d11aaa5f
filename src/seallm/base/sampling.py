"""How answers are drawn from a model, wherever it runs."""

from dataclasses import dataclass


@dataclass(frozen=True)
class SamplingSettings:
    """How answers are drawn.

    Attributes:
        max_new_tokens: longest answer, its stop token included.
        temperature: 0 takes the most probable token.
        top_p: sample among the most probable tokens that together have this probability (Holtzman et al. 2020).
        seed: seed of all answers.
    """

    max_new_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    seed: int = 0
