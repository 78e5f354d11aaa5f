"""The recipe: every setting of every stage on one page, read from one TOML file.

A section that is absent leaves its stage out. Sections and keys are strict: an unknown key is an error that names the
nearest one. Relative paths are relative to the recipe's folder; `sample:` paths are data that ship with seallm. The
text under each field is its documentation: `docs/recipe.md` is generated from it.
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from seallm.recipe_corpus import Corpus
from seallm.recipe_instructions import Instructions
from seallm.recipe_section import InputPath, PolicyName, Positive, PositiveFloat, Section, Share
from seallm.recipe_training import Dpo, Hybrid, Pretrain, Sft, TrainBase
from seallm.recipe_vocab import Vocab


class Compute(Section):
    """Where it runs. Nothing here changes a result beyond rounding, so nothing here makes a stage run again."""

    engine: Literal["local", "ray"] = "local"
    """Where work over files runs: a pool of processes, or a Ray cluster with shared storage (`seallm[ray]`)."""
    workers: Positive | None = None
    """Processes for work over files; absent: one per available core."""
    threads: Positive | None = None
    """Threads for tensors in one process; absent: the available cores, shared by `processes`."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where models live; `auto` takes a GPU where there is one."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """What is computed in: `auto` is bfloat16 on GPUs that have it, else float32. Trained weights stay float32."""
    processes: Positive | None = None
    """Processes that train together on this machine; absent: one per GPU, and one where there is none."""
    timeout_minutes: PositiveFloat = 30.0
    """A process that waits longer for the others in a step gives up."""
    micro_batch_tokens: Positive | None = None
    """Tokens computed at once in one process; absent: 4,096 on a CPU, on a GPU what its memory allows."""
    activation_checkpointing: bool = False
    """Compute blocks again in the backward pass instead of keeping their activations: less memory, a third slower."""
    compile: bool = False
    """Compile the blocks with torch.compile: slower to start, faster on GPUs."""
    deterministic: bool = False
    """Bit-equal repeats on a GPU too, at some speed; a CPU always repeats bit for bit."""
    keep_checkpoints: Annotated[int, Field(ge=0)] = 0
    """Checkpoints of a training stage that stay when it is finished, the newest ones; at least one while it runs."""
    keep_best_checkpoint: bool = False
    """Keep the checkpoint with the lowest held-out bits per byte too; of [sft], with the lowest held-out loss."""
    track: Literal["tensorboard", "wandb", "trackio"] | None = None
    """Send curves to a tracker as well (`seallm[track]`)."""


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


class Prefer(Section):
    """The model answers, and judges its own answers; the pairs that it is sure of become preference pairs."""

    conversations: list[InputPath] = []
    """JSONL files of conversations whose first user turns are the prompts; none with [instructions]."""
    rounds: Positive = 1
    """Rounds of this stage and [dpo]: each starts from the model of the one before, with other prompts if there are."""
    max_prompts: Positive = 1_000
    """Prompts taken in a round, balanced over languages."""
    answers_per_prompt: Annotated[int, Field(ge=2)] = 4
    """Answers sampled for each prompt."""
    temperatures: list[PositiveFloat] = Field(default=[0.9], min_length=1)
    """Sampling temperatures; the answers to a prompt take turns at them."""
    top_p: Share = 0.95
    """Sampling keeps the most probable tokens that together have this probability."""
    system_prompts: list[str] = Field(default=[""], min_length=1)
    """System prompts that the answers take turns at: "" is none, "language" the language's own. Pairs are without."""
    weaker_models: list[Literal["hybrid", "sft"]] = []
    """Earlier models of the run that give one more answer each, as a source of worse ones."""
    max_new_tokens: Positive = 64
    """Longest answer."""
    judge: Literal["likelihood", "verdict"] = "likelihood"
    """By how likely the model finds each answer, or by how likely its verdict A or B is when it is asked."""
    criteria: str = ""
    """What the judge is asked to look at (`verdict`); "" takes the template's own."""
    judge_language: Literal["english", "native"] = "english"
    """Ask in English, or in the language of the prompt."""
    judge_template: InputPath | None = None
    """TOML file with words of your own for the question, in place of the shipped ones."""
    calibrate_position: bool = True
    """Take the judge's common liking for a position off before it is asked whether both orders agree."""
    min_margin: Annotated[float, Field(ge=0)] | None = None
    """Least margin of a pair that is kept; absent: the least at which the judge reaches `wanted_accuracy`."""
    wanted_accuracy: Share = 0.8
    """Share of known pairs that the judge shall be right on, among those it is at least so sure of."""
    gold: list[InputPath] = []
    """Preference files by people; they are judged too, and the agreement is reported."""
    reason_tokens: Annotated[int, Field(ge=0)] = 0
    """Longest reason that the model writes for each pair that is kept; 0: none."""
    held_out_share: Share = 0.2
    """Share of the prompts whose pairs are not trained on."""
    min_pairs: Annotated[int, Field(ge=0)] = 1
    """Fewer pairs to train on are an error; with 0 the run goes on, and [dpo] passes the model on as it is."""
    batch_sequences: Positive = 64
    """Sequences generated or judged at once."""


class Judging(Section):
    """Open questions, answered by the run's chat models and judged."""

    model: str | None = None
    """Judge: a folder, `vllm:FOLDER` or `http://host/v1#model`; absent: the run's newest chat model judges itself."""
    mode: Literal["score", "pairwise"] = "score"
    """A score from 0 to 10 for each answer, or which of two models' answers is better, in both orders."""
    questions: InputPath | None = None
    """File of questions; absent: those that ship with seallm."""
    limit: Positive = 2
    """Questions of each language and category."""
    max_answer_tokens: Positive = 256
    """Longest answer."""


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
    policy: PolicyName | None = None
    """Policy pack whose system prompts stand before `safety_prompts`, as where it is served; absent: none does."""
    limit: Positive | None = None
    """Examples per task; absent: all."""
    generation_limit: Positive | None = None
    """Examples per task that lets the model write, which takes far longer than comparing choices; absent: `limit`."""
    max_answer_tokens: Positive | None = None
    """Longest answer to any task; absent: as each task says (64 for a span, 256 for a translation, twice that where a
    script has no spaces)."""
    shots: Annotated[int, Field(ge=0)] | None = None
    """Examples before each question; absent: as each benchmark is published, up to 5."""
    batch_sequences: Positive = 64
    """Sequences scored or generated at once."""
    sample_prompts: Positive = 2
    """Prompts a language whose answers are shown in the report."""
    judge: Judging | None = None
    """Have answers to open questions judged."""


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
    instructions: Instructions | None = None
    corpus: Corpus | None = None
    vocab: Vocab | None = None
    pretrain: Pretrain | None = None
    hybrid: Hybrid | None = None
    sft: Sft | None = None
    prefer: Prefer | None = None
    dpo: Dpo | None = None
    evaluate: Evaluate | None = None
