"""The recipe: every setting of every stage on one page, read from one TOML file.

A section that is absent leaves its stage out. Sections and keys are strict: an unknown key is an error that names the
nearest one. Relative paths are relative to the recipe's folder; `sample:` paths are data that ship with seallm. The
text under each field is its documentation: `docs/recipe.md` is generated from it.
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from seallm.recipe_corpus import Corpus
from seallm.recipe_section import InputPath, Positive, PositiveFloat, Section, Share
from seallm.recipe_vocab import Vocab


class Compute(Section):
    """Where it runs. Nothing here changes a result beyond rounding, so nothing here makes a stage run again."""

    engine: Literal["local", "ray"] = "local"
    """Where work over files runs: a pool of processes, or a Ray cluster with shared storage (`seallm[ray]`)."""
    workers: Positive | None = None
    """Processes for work over files; absent: one per available core."""
    threads: Positive | None = None
    """Threads for tensors in one process; absent: one per available core."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where models live; `auto` takes a GPU where there is one."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Number type of weights and activations; bfloat16 is for GPUs."""


class Optimiser(Section):
    """AdamW with linear warm-up and cosine decay."""

    learning_rate: PositiveFloat
    """Peak learning rate."""
    final_learning_rate_share: Share = 0.1
    """The last step's learning rate, as a share of the peak."""
    warmup_share: Share = 0.05
    """Share of the steps over which the learning rate rises from zero."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    """Decoupled decay of matrices; vectors and embeddings are not decayed."""
    max_gradient_norm: PositiveFloat = 1.0
    """Gradients beyond this norm are scaled down."""


class TrainBase(Section):
    """Train a tiny English-centric base model, for a run that must not download anything."""

    documents: list[InputPath]
    """Files of English documents (JSONL with a `text`), or folders or globs of them."""
    vocabulary_tokens: Positive = 1_500
    """Size of the byte-level BPE vocabulary that is learned."""
    hidden_size: Positive = 128
    """Width of the model."""
    layers: Positive = 4
    """Number of transformer blocks."""
    heads: Positive = 4
    """Attention heads; must divide `hidden_size`."""
    max_sequence_tokens: Positive = 1_024
    """Longest sequence the model has positions for."""
    sequence_tokens: Positive = 256
    """Length of the packed training sequences."""
    batch_tokens: Positive = 4_096
    """Tokens a step."""
    steps: Positive = 300
    """Optimiser steps."""
    optimiser: Optimiser = Optimiser(learning_rate=3e-3)
    """Learning rate and its schedule."""


class Base(Section):
    """The model to start from: a Hugging Face folder or hub id, or a tiny one trained here."""

    model: str | None = None
    """Folder, or hub id such as `meta-llama/Llama-2-7b-hf`."""
    revision: str | None = None
    """Commit of the hub repository."""
    train: TrainBase | None = None
    """Train a tiny base instead."""

    @model_validator(mode="after")
    def _one_of_both(self) -> "Base":
        if (self.model is None) == (self.train is None):
            raise ValueError("[base] needs either `model` or a [base.train] section, not both and not none")
        return self


class Mixture(Section):
    """One part of pre-training: which tiers, which languages, how long, how fast."""

    name: str
    """Its name in curves and logs."""
    tiers: list[Literal["high", "low"]]
    """Tiers that documents are taken from. `replay` parts name only high: documents seen before are fed again."""
    tokens: Positive
    """Tokens to train on."""
    base_language_share: Share = 0.25
    """Share of the tokens in the base language (English), to keep what the model knows."""
    temperature: PositiveFloat = 2.0
    """Other languages get shares proportional to size^(1/temperature): 1 keeps proportions, large makes them equal."""
    trainable: Literal["all", "new-rows"] = "all"
    """Train all weights, or only the embedding rows of the new tokens."""
    optimiser: Optimiser = Optimiser(learning_rate=2e-3)
    """Learning rate and its schedule within this part."""


class Pretrain(Section):
    """Continual pre-training: high-quality documents, then high and low mixed, then high again (paper, section 3)."""

    sequence_tokens: Positive = 256
    """Length of the packed sequences."""
    batch_tokens: Positive = 8_192
    """Tokens a step."""
    embedding_init: Literal["mean", "calibrated-mean", "standardised-mean", "similarity"] = "mean"
    """Rows of new tokens: the mean of their old pieces; that mean with the usual norm; or with the old rows' spread; or
    old rows of tokens with like neighbours in the corpus. `seallm vocab probe` compares them."""
    evaluate_every_steps: Positive = 50
    """Steps between two measurements of held-out bits per byte."""
    checkpoint_every_steps: Positive = 50
    """Steps between two checkpoints; a killed run loses at most these."""
    mixtures: list[Mixture]
    """The curriculum, in order."""


class Hybrid(Section):
    """Raw documents and (mostly English) conversations in one stream; prompts carry no loss."""

    conversations: list[InputPath]
    """JSONL files of conversations."""
    languages: list[str] = ["en"]
    """Languages of the conversations used here; the rest is left for supervised fine-tuning."""
    conversation_share: Share = 0.5
    """Share of the tokens that come from conversations."""
    tokens: Positive
    """Tokens to train on."""
    sequence_tokens: Positive = 256
    """Length of the packed sequences."""
    batch_tokens: Positive = 8_192
    """Tokens a step."""
    base_language_share: Share = 0.25
    """Share of the raw tokens in the base language."""
    temperature: PositiveFloat = 2.0
    """As in pre-training."""
    checkpoint_every_steps: Positive = 50
    """Steps between two checkpoints."""
    optimiser: Optimiser = Optimiser(learning_rate=1e-3)
    """Learning rate and its schedule."""


class Sft(Section):
    """Supervised fine-tuning: loss on the assistant's tokens and their end of turn only."""

    conversations: list[InputPath]
    """JSONL files of conversations."""
    epochs: PositiveFloat = 2.0
    """Passes over the balanced set."""
    max_language_share: Share = 0.25
    """No language gets more than this share of the conversations of an epoch."""
    judge_share: Share = 0.1
    """Judging exercises added, as a share of the conversations: a good answer against a wrong one."""
    system_prompt_share: Share = 0.3
    """Share of conversations that get the language's default system prompt."""
    multi_turn_after: Share = 0.7
    """From this share of the steps on, single-turn conversations of one language are joined into longer ones."""
    sequence_tokens: Positive = 256
    """Length of the packed sequences."""
    batch_tokens: Positive = 8_192
    """Tokens a step, prompts included."""
    checkpoint_every_steps: Positive = 50
    """Steps between two checkpoints."""
    optimiser: Optimiser = Optimiser(learning_rate=1e-3)
    """Learning rate and its schedule."""


class Prefer(Section):
    """The model answers, and judges its own answers in both orders; consistent verdicts become preference pairs."""

    conversations: list[InputPath]
    """JSONL files of conversations whose first user turns are the prompts."""
    max_prompts: Positive = 1_000
    """Prompts taken, balanced over languages."""
    answers_per_prompt: Annotated[int, Field(ge=2)] = 4
    """Answers sampled for each prompt."""
    temperature: PositiveFloat = 0.9
    """Sampling temperature."""
    top_p: Share = 0.95
    """Sampling keeps the most probable tokens that together have this probability."""
    max_new_tokens: Positive = 64
    """Longest answer."""
    criteria: str = "helpful, correct, safe, and in the language of the question"
    """What the judge is asked to look at."""
    calibrate_position: bool = True
    """Take the judge's common liking for a position off before it is asked whether both orders agree."""
    held_out_share: Share = 0.2
    """Share of the prompts whose pairs are not trained on."""
    batch_sequences: Positive = 64
    """Sequences generated or judged at once."""


class Dpo(Section):
    """Direct preference optimisation with the prompt computed once and the reference's log-probabilities cached."""

    beta: PositiveFloat = 0.1
    """Strength of the pull towards the reference."""
    epochs: PositiveFloat = 1.0
    """Passes over the pairs."""
    batch_pairs: Positive = 16
    """Pairs a step."""
    max_sequence_tokens: Positive = 512
    """Longest prompt with both answers; longer pairs are left out and counted."""
    checkpoint_every_steps: Positive = 50
    """Steps between two checkpoints."""
    optimiser: Optimiser = Optimiser(learning_rate=1e-4)
    """Learning rate and its schedule."""


class Evaluate(Section):
    """Figures for every model of the run, each with n and a 95 % interval."""

    tasks: list[str]
    """Names of task files, without their ending."""
    task_folders: list[InputPath] = []
    """Folders with task files of your own, beside those that ship with seallm."""
    data: InputPath
    """Folder that holds the tasks' data files."""
    parallel: InputPath | None = None
    """Folder as in [vocab]; bits per byte and compression are measured on its test half."""
    safety_prompts: InputPath | None = None
    """JSONL file of prompts with `kind` harmful or harmless, for refusal and over-refusal."""
    limit: Positive | None = None
    """Examples per task; absent: all."""
    generation_limit: Positive | None = None
    """Examples per task that lets the model write, which takes far longer than comparing choices; absent: `limit`."""
    batch_sequences: Positive = 64
    """Sequences scored or generated at once."""
    sample_prompts: Positive = 2
    """Prompts a language whose answers are shown in the report."""


class Recipe(Section):
    """A whole run."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """Name of the run and of its folder."""
    seed: int = 0
    """Seed of everything random."""
    languages: list[str] = Field(min_length=1)
    """Codes of all languages, the base language first."""
    language_files: list[InputPath] = []
    """Files `<code>.toml` of languages that seallm does not ship, or that replace a shipped one."""
    compute: Compute = Compute()
    base: Base
    corpus: Corpus | None = None
    vocab: Vocab | None = None
    pretrain: Pretrain | None = None
    hybrid: Hybrid | None = None
    sft: Sft | None = None
    prefer: Prefer | None = None
    dpo: Dpo | None = None
    evaluate: Evaluate | None = None
