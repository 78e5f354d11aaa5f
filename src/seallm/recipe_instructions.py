"""The section of the recipe on instruction data: where it comes from, what is kept, and how it is mixed."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from seallm.recipe_section import InputPath, Positive, PositiveFloat, Section, Share

ENGLISH = "en"


class InstructionSource(Section):
    """Files of one origin, in any of the formats that are read."""

    files: list[InputPath]
    """JSONL, JSON, CSV, TSV or Parquet files (`.gz`, `.zst` too), or folders that `datasets` saved."""
    format: Literal["messages", "sharegpt", "alpaca", "prompt", "preference"] | None = None
    """Format of all rows; absent: told by the fields of each file's first rows."""
    columns: dict[str, str] = {}
    """Names of the data set's columns by ours, such as { prompt = "question", completion = "reply.text" }."""
    language: str | None = None
    """Language of all rows, whatever they say; absent: their own, or the one their answers are found to be in."""
    category: str | None = None
    """Category of all rows, such as "safety"; absent: their own, or the one that rules find."""
    source: str | None = None
    """Name of the source of all rows; absent: their own, or the file's name."""
    licence: str | None = None
    """Licence of all rows; absent: their own."""


class InstructionChecks(Section):
    """What a conversation must keep to; one that does not lies in dropped.jsonl with its reason."""

    min_answer_characters: Positive = 1
    """Shortest answer, all of a conversation's answers together."""
    max_characters: Positive = 32_000
    """Longest conversation."""
    max_foreign_share: Share = 0.2
    """Letters of answers in another language than the conversation's, of those that tell their language."""
    prompt_language: Literal["drop", "keep"] = "drop"
    """What becomes of prompts in another language than the answer; translation tasks are always kept."""
    control_strings: Literal["drop", "keep"] = "drop"
    """What becomes of texts with the control strings of a chat format, such as <|im_end|> or [INST]."""
    max_replacement_share: Share = 0.01
    """U+FFFD among all characters: text whose bytes were lost."""
    min_repetition_words: Positive = 50
    """Answers of fewer words are not judged by their repetition."""
    max_duplicate_line_share: Share = 0.5
    """Characters of answers in lines that occurred before."""
    max_top_ngram_share: Share = 0.5
    """Letters of answers covered by the most frequent pair of words."""
    max_repeated_ngram_share: Share = 0.5
    """Letters of answers in passages of ten words that occurred before."""
    near_duplicate_similarity: Annotated[float, Field(gt=0, le=1)] = 0.8
    """Estimated share of five-word shingles in common from which two conversations with the same numbers are copies."""
    benchmarks: list[InputPath] = []
    """Files of tests whose text must not be trained on, as in [corpus]."""
    benchmark_fields: list[str] = []
    """Fields of them that count; empty: all strings."""
    benchmark_share: Share = 0.5
    """Share of a test's text that makes a conversation a copy of it."""


class InstructionTeacher(Section):
    """A model that makes more of the sources; what it makes is checked and mixed with them."""

    place: str
    """A run or model folder, "vllm:FOLDER", or "http://host/v1#model"."""
    key: str = "env:SEALLM_ENDPOINT_KEY"
    """Where a server's key is: env:NAME or file:PATH."""
    translate_to: list[str] = []
    """Languages that English conversations of the sources are translated into."""
    translated_conversations: Positive = 1_000
    """Most conversations translated into each."""
    least_chrf: Annotated[float, Field(ge=0, le=100)] = 50.0
    """Least chrF of a turn translated back into English."""
    self_instruct: list[str] = []
    """Languages whose conversations are the seeds of new ones."""
    new_conversations: Positive = 1_000
    """New conversations wanted of each."""
    most_similar: Annotated[float, Field(gt=0, le=1)] = 0.7
    """Greatest ROUGE-L of a new instruction to any before it."""
    temperature: Annotated[float, Field(ge=0)] = 0.7
    """Of the answers to new instructions."""
    max_new_tokens: Positive = 1_024
    """Longest answer of the teacher."""
    batch_sequences: Positive = 16
    """Answers computed at once, where the teacher is a folder."""
    concurrent_calls: Positive = 16
    """Calls of a server under way at once."""
    requests_per_minute: PositiveFloat | None = None
    """Most calls a minute."""
    tokens_per_minute: PositiveFloat | None = None
    """Most tokens a minute, asked and answered."""
    price: Annotated[str, Field(pattern=r"^\d+(\.\d+)?/\d+(\.\d+)?$")] = "0/0"
    """What a million tokens cost, asked and answered: "0.15/0.60". A guess is told before a server is asked."""
    most_cost: Annotated[float, Field(ge=0)] | None = None
    """The stage stops before its first question where the guess is above this; needs `price`."""

    @model_validator(mode="after")
    def _fits_together(self) -> "InstructionTeacher":
        if self.most_cost is not None and self.price == "0/0":
            raise ValueError('instructions.teacher: `most_cost` needs `price`, as "0.15/0.60"')
        if ENGLISH in self.translate_to:
            raise ValueError("instructions.teacher: `translate_to` has 'en', but it is English that is translated")
        return self


class Instructions(Section):
    """Instruction data of any origin, checked and mixed: what [hybrid], [sft], [prefer] and [dpo] train on."""

    sources: list[InstructionSource] = Field(min_length=1)
    """Where the conversations come from."""
    max_bad_share: Share = 0.1
    """The stage stops where more of all rows than this cannot be read."""
    teacher: InstructionTeacher | None = None
    """Makes more of the sources; absent: nothing is made."""
    checks: InstructionChecks = InstructionChecks()
    """Thresholds of the checks."""
    held_out_share: Share = 0.02
    """Share of the questions that nothing is trained on: [sft] measures its loss on their answers."""
    hybrid_languages: list[str] = ["en"]
    """Languages whose conversations mostly go to the hybrid stage; with [sft] and without [hybrid]: none."""
    hybrid_share: Share = 0.8
    """Share of them that goes there at least; what fine-tuning leaves over of these languages goes there too."""
    max_language_share: Share = 0.25
    """No language has more than this share of the conversations left for fine-tuning."""
    language_caps: dict[str, Share] = {}
    """Other caps for single languages, such as { en = 0.1 }."""
    max_category_share: Share = 1.0
    """No category has more than this share of its language's conversations left for fine-tuning."""
    sft_conversations: Positive | None = None
    """Conversations for fine-tuning; absent: as many as the caps allow."""
    temperature: PositiveFloat = 2.0
    """With `sft_conversations`, a language's share is its number of conversations to the power 1 / temperature."""
    quotas: dict[str, Annotated[int, Field(ge=0)]] = {}
    """Most conversations for fine-tuning of a language, a category or both: { en = 500, "th.safety" = 90 }."""

    @model_validator(mode="after")
    def _source_names(self) -> "Instructions":
        for number, source in enumerate(self.sources):
            if not source.files:
                raise ValueError(f"instructions.sources.{number}: `files` is empty; name files, folders or globs")
        return self
