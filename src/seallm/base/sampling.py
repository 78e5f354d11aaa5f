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
        top_k: sample among this many of the most probable tokens; None: among all.
        min_p: leave out tokens with less than this share of the most probable token's probability.
        repetition_penalty: above 1, tokens of prompt and answer become less likely (Keskar et al. 2019).
        frequency_penalty: taken from a token's logit for each time that the answer holds it.
        presence_penalty: taken from a token's logit once the answer holds it.
        logit_bias: (id, number added to its logit).
    """

    max_new_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    seed: int = 0
    top_k: int | None = None
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    logit_bias: tuple[tuple[int, float], ...] = ()

    @property
    def changes_logits(self) -> bool:
        """True where the logits of the model are not taken as they are."""
        return bool(self.repetition_penalty != 1 or self.frequency_penalty or self.presence_penalty or self.logit_bias)
