"""The training sections of the recipe: tiny base, continual pre-training, hybrid, fine-tuning, preferences."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from seallm.recipe_section import InputPath, PolicyName, Positive, PositiveFloat, Section, Share


class Optimiser(Section):
    """AdamW with linear warm-up and decay."""

    learning_rate: PositiveFloat
    """Peak learning rate."""
    schedule: Literal["cosine", "wsd"] = "cosine"
    """After the warm-up: a cosine to the end, or stable at the peak and falling in the last `decay_share` (WSD)."""
    decay_share: Share = 0.2
    """Share of the steps in which WSD falls."""
    final_learning_rate_share: Share = 0.1
    """The last step's learning rate, as a share of the peak."""
    warmup_share: Share = 0.05
    """Share of the steps over which the learning rate rises from zero."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    """Decoupled decay of matrices; vectors and embeddings are not decayed."""
    max_gradient_norm: PositiveFloat = 1.0
    """Gradients beyond this norm are scaled down."""


class Adapter(Section):
    """A low-rank adapter (LoRA) that is trained in place of all weights, and merged into them at the end."""

    rank: Positive = 16
    """Rank of the matrices."""
    alpha: PositiveFloat = 32.0
    """The adapter's output is scaled by alpha / rank."""
    dropout: Share = 0.0
    """Share of the adapter's inputs that are zeroed in training."""
    four_bit: bool = False
    """Hold the blocks' frozen weights in four bits while training (QLoRA, `seallm[four-bit]`); one process only."""


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


class Dynamic(Section):
    """Shares that follow held-out bits per byte: at every measurement they move towards the languages that lag."""

    strength: PositiveFloat = 2.0
    """A language that lags by one percent gets its share raised by about so many percent."""
    max_change: Annotated[float, Field(ge=1)] = 2.0
    """No language gets more than so many times its planned share, or less than its planned share divided by it."""
    targets: dict[str, PositiveFloat] = {}
    """Bits per byte to reach, for every language but the base one; none: a language lags that has improved least."""
    base_language_budget: Share = 0.02
    """Rise of the base language's bits per byte over the base model that is tolerated, as a share of them."""
    max_base_language_share: Share = 0.5
    """Most of the tokens that the base language may get while its budget is exceeded."""


class Mixture(Section):
    """One part of pre-training: which tiers, which languages, how long, how fast."""

    name: str
    """Its name in curves and logs."""
    tiers: list[Literal["high", "low"]] = Field(min_length=1)
    """Tiers that documents are taken from."""
    replay: bool | None = None
    """Feed documents again that were fed before, and no others. Absent: where only high is named, and was before."""
    tokens: Positive | None = None
    """Tokens to train on."""
    epochs: PositiveFloat | None = None
    """In place of `tokens`: until the first tier named has been fed so many times, all languages together."""
    base_language_share: Share = 0.25
    """Share of the tokens in the base language (English), to keep what the model knows."""
    shares: dict[str, Share] = {}
    """Fixed shares of languages, such as { th = 0.3 }; languages not named divide the rest by `temperature`."""
    temperature: PositiveFloat = 2.0
    """Other languages get shares proportional to size^(1/temperature): 1 keeps proportions, large makes them equal."""
    parallel_share: Share = 0.0
    """Share of the tokens that are sentence pairs, in both directions; needs `parallel` in [pretrain]."""
    dynamic: Dynamic | None = None
    """Let the shares follow held-out bits per byte; those above are where they start."""
    trainable: Literal["all", "new-rows"] = "all"
    """Train all weights, or only the embedding rows of the new tokens."""
    optimiser: Optimiser = Optimiser(learning_rate=2e-3)
    """Learning rate and its schedule within this part."""

    @model_validator(mode="after")
    def _fits_together(self) -> "Mixture":
        if (self.tokens is None) == (self.epochs is None):
            raise ValueError(f"mixture {self.name!r} needs either `tokens` or `epochs`, not both and not none")
        if sum(self.shares.values()) + self.parallel_share > 1 + 1e-9:
            raise ValueError(f"mixture {self.name!r}: `shares` and `parallel_share` add up to more than 1")
        return self


class Pretrain(Section):
    """Continual pre-training: high-quality documents, then high and low mixed, then high again (paper, section 3)."""

    sequence_tokens: Positive = 256
    """Length of the packed sequences."""
    batch_tokens: Positive = 8_192
    """Tokens a step."""
    embedding_init: Literal["mean", "calibrated-mean", "standardised-mean", "similarity"] = "mean"
    """Rows of new tokens: the mean of their old pieces; that mean with the usual norm; or with the old rows' spread; or
    old rows of tokens with like neighbours in the corpus. `seallm vocab probe` compares them."""
    row_languages: Literal["mixed", "pure"] = "mixed"
    """Pack documents of several languages into one sequence, or of one language alone."""
    isolate_documents: bool = True
    """Documents of one sequence do not see each other; `false` makes one run of text of every sequence."""
    max_epochs: PositiveFloat | None = None
    """No tier of a language is fed more often, replays included; others get what it may not give. Absent: no cap."""
    parallel: InputPath | None = None
    """Folder as in [vocab]; the sentences of its `dev` half become documents of translations (`parallel_share`)."""
    skip_steps: list[Positive] = []
    """Numbers of steps, as in metrics.jsonl, that are not made: their documents are left out."""
    evaluate_every_steps: Positive = 50
    """Steps between two measurements of held-out bits per byte."""
    checkpoint_every_steps: Positive = 50
    """Steps between two checkpoints; a killed run loses at most these."""
    mixtures: list[Mixture] = Field(min_length=1)
    """The curriculum, in order."""

    @model_validator(mode="after")
    def _fits_together(self) -> "Pretrain":
        names = [mixture.name for mixture in self.mixtures]
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise ValueError(f"two mixtures are named {twice[0]!r}; curves and the manifest need a name for each")
        wanting = [mixture.name for mixture in self.mixtures if mixture.parallel_share]
        if wanting and self.parallel is None:
            raise ValueError(
                f"mixture {wanting[0]!r} has a `parallel_share`, but [pretrain] names no `parallel` folder"
            )
        return self


class Hybrid(Section):
    """Raw documents and (mostly English) conversations in one stream; prompts carry no loss."""

    conversations: list[InputPath] = []
    """JSONL files of conversations; none with [instructions], which makes them."""
    languages: list[str] = ["en"]
    """Languages of the conversations used here; the rest is left for fine-tuning. Not with [instructions]."""
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
    policy: PolicyName | None = None
    """Policy pack whose system prompts a share of the conversations gets: a shipped name, or a TOML file of yours."""
    system_prompt_share: Share = 0.3
    """Share of the conversations that get the policy's system prompt of their language; without `policy`, none does."""
    skip_steps: list[Positive] = []
    """As in pre-training."""
    checkpoint_every_steps: Positive = 50
    """Steps between two checkpoints."""
    optimiser: Optimiser = Optimiser(learning_rate=1e-3)
    """Learning rate and its schedule."""


class Sft(Section):
    """Supervised fine-tuning: loss on the assistant's tokens and their end of turn only."""

    conversations: list[InputPath] = []
    """JSONL files of conversations; none with [instructions], which makes them."""
    epochs: PositiveFloat = 2.0
    """Passes over the balanced set."""
    max_language_share: Share = 0.25
    """No language gets more than this share of the conversations of an epoch."""
    language_caps: dict[str, Share] = {}
    """Other caps for single languages, such as { en = 0.1 }."""
    max_category_share: Share = 1.0
    """No category of a language's conversations gets more than this share of them in an epoch."""
    judge_share: Share = 0.1
    """Judging exercises added, as a share of the conversations: a good answer against a wrong one."""
    system_prompt_share: Share = 0.3
    """Share of conversations that get a system prompt: the policy's, or else the default one of their language."""
    policy: PolicyName | None = None
    """Policy pack whose system prompts replace the languages' own: a shipped name, or a TOML file of yours."""
    multi_turn_after: Share = 0.7
    """From this share of the steps on, single-turn conversations of one language are joined into longer ones."""
    sequence_tokens: Positive = 256
    """Length of the packed sequences."""
    batch_tokens: Positive = 8_192
    """Tokens a step, prompts included."""
    skip_steps: list[Positive] = []
    """As in pre-training."""
    evaluate_every_steps: Positive = 50
    """Steps between two measurements of the loss of conversations that [instructions] holds out, if any."""
    checkpoint_every_steps: Positive = 50
    """Steps between two checkpoints."""
    optimiser: Optimiser = Optimiser(learning_rate=1e-3)
    """Learning rate and its schedule."""
    adapter: Adapter | None = None
    """Train an adapter (`seallm[adapters]`), and the rows of tokens that are new here; absent: all weights."""


class Dpo(Section):
    """Direct preference optimisation with the prompt computed once and the reference's log-probabilities cached."""

    preferences: list[InputPath] = []
    """JSONL or Parquet files of preferences (TRL's formats), trained on with the pairs of [prefer] or without it."""
    imported: bool = True
    """Train on the preferences that [instructions] imported too, or on them alone where there is no [prefer]."""
    held_out_share: Share = 0.2
    """Share of the prompts of these two whose pairs are kept apart to measure on; [prefer] keeps its own."""
    objective: Literal["dpo", "ipo", "simpo"] = "dpo"
    """DPO's sigmoid, IPO's square (does not push margins without end), or SimPO (per token, without a reference)."""
    beta: PositiveFloat = 0.1
    """Strength of the pull towards the reference; with `simpo`, and where lengths are normalised, take 1 to 10."""
    length_normalised: bool = False
    """Compare log-probabilities per token in place of sums, so that length alone gains nothing; `simpo` always does."""
    label_smoothing: Annotated[float, Field(ge=0, lt=0.5)] = 0.0
    """Share of the verdicts that are taken to be wrong (not `ipo`)."""
    target_margin: Annotated[float, Field(ge=0)] = 0.5
    """Margin of the rewards that `simpo` aims at."""
    sft_weight: Annotated[float, Field(ge=0)] = 0.0
    """Weight of a supervised term on the chosen answer (its loss per token), which keeps its likelihood up."""
    max_chosen_fall: PositiveFloat = 0.5
    """Nats a token that the mean log-probability of held-out chosen answers may fall below the reference's."""
    on_chosen_fall: Literal["warn", "stop"] = "warn"
    """What happens where it falls further: the accuracy's sentence says so, or training stops with an error."""
    evaluate_every_steps: Positive = 50
    """Steps between two measurements on held-out pairs, the first 256 of them."""
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
    adapter: Adapter | None = None
    """As in [sft]; the reference is the model without it."""
