"""The [vocab] section of the recipe: how tokens for new languages are chosen, and what must not be touched."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from seallm.languages import Script
from seallm.recipe_section import InputPath, Positive, PositiveFloat, Section, Share


class Vocab(Section):
    """Base tokenizer and corpus in, extended tokenizer and its certificate out."""

    parallel: InputPath
    """Folder with `dev.<language>.txt` and `test.<language>.txt`: the same sentences in every language, one a line."""
    new_tokens: Positive = 16_000
    """Tokens to add."""
    method: Literal["parity", "frequency", "target"] = "parity"
    """`parity` weighs languages by how badly they are compressed, `frequency` counts, `target` takes over tokens."""
    target_vocabulary: InputPath | None = None
    """For `target`: a `tokenizer.json` of any kind, or a text file with one token a line."""
    parity_exponent: Annotated[float, Field(ge=1)] = 2.0
    """Weight of badly compressed languages: 1 is frequency alone, larger is more equal."""
    development_share: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """Share of the development sentences in what merges are counted in, the rest is the corpus. 0: only the corpus."""
    superwords: list[str] | None = None
    """Languages whose tokens may cross spaces. Absent: those that write one word in several syllables (Vietnamese)."""
    language_weights: dict[str, PositiveFloat] = {}
    """Factors on what a merge gains, by language; 1 where none is given."""
    min_tokens: dict[str, Positive] = {}
    """Tokens that a language gets, if its text has them, before others get more than their own minimum."""
    max_tokens: dict[str, Positive] = {}
    """Tokens after which a language gets no more."""
    max_changed_share: Share = 0.003
    """Share of the base language's tokens that new merges may replace. They never make its text longer."""
    megabytes_per_language: PositiveFloat = 20.0
    """Corpus text that the learner reads of each language."""
    min_frequency: Positive = 2
    """Least number of occurrences of a merge in the corpus."""
    max_token_characters: Positive = 24
    """Longest new token."""
    max_script_characters: dict[Script, Positive] = {"han": 8}
    """Longest new token in one script, where it is less."""
    row_multiple: Positive = 64
    """The model gets embedding rows for a multiple of this many tokens, for the sake of speed; 1: no spare rows."""

    @model_validator(mode="after")
    def _fits_the_method(self) -> "Vocab":
        if (self.method == "target") != (self.target_vocabulary is not None):
            raise ValueError(
                f'method = "{self.method}" with target_vocabulary = {self.target_vocabulary!r}: '
                'the two go together. Give both, or leave target_vocabulary out and take "parity"'
            )
        for code in self.min_tokens.keys() & self.max_tokens.keys():
            if self.min_tokens[code] > self.max_tokens[code]:
                raise ValueError(f"min_tokens of {code!r} is {self.min_tokens[code]}, above its max_tokens")
        if sum(self.min_tokens.values()) > self.new_tokens:
            raise ValueError(f"min_tokens add up to {sum(self.min_tokens.values())}, above new_tokens")
        return self

    def languages_named(self) -> set[str]:
        """Codes of all languages that some setting names."""
        return {*(self.superwords or ()), *self.language_weights, *self.min_tokens, *self.max_tokens}
