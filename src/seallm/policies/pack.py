"""The layout of a policy pack: one TOML file, strict; and what is left of it once packs it extends are merged in.

about   = "Everyday matters in Thai"
extends = "default"                        # optional: topics, helplines and prompts of another pack

[topics.fraud]
title     = "Fraud and theft"
behaviour = "refuse"                       # answer, care, refuse or redirect

[languages.th]
system_prompt = "... {principles}"
principles    = ["...", "..."]
helplines     = [{ name = "...", contact = "1323" }]

[languages.th.topics.fraud]
replies        = ["..."]                   # how the assistant refuses; {helplines} where it redirects
harmful        = ["..."]                   # requests to refuse: seeds of training
harmful_tests  = ["..."]                   # the same, never trained on
harmless       = [{ prompt = "...", answer = "..." }]   # look-alikes to answer: seeds of training
harmless_tests = ["..."]                   # the same, never trained on
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

Behaviour = Literal["answer", "care", "refuse", "redirect"]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
HELPLINES, PRINCIPLES = "{helplines}", "{principles}"
DECLINING = ("refuse", "redirect")


class PackSection(BaseModel):
    """Common behaviour: strict, frozen, documented by the text under each field."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)


class Topic(PackSection):
    """A topic, and how the assistant should behave in it."""

    title: Text
    """What it is about, in English."""
    behaviour: Behaviour
    """`answer`, answer with `care`, `refuse` what is harmful, or `redirect` it to people who can help."""


class Exchange(PackSection):
    """A question with a good answer."""

    prompt: Text
    answer: Text


class Helpline(PackSection):
    """Somebody who helps."""

    name: Text
    """Who it is, in the language."""
    contact: Text
    """A number or an address, or where to find it; an answer that redirects must say it."""


class TopicTexts(PackSection):
    """What is said about a topic in one language."""

    replies: list[Text] = []
    """How the assistant declines harmful requests, taking turns; `{helplines}` becomes the language's helplines."""
    harmful: list[Text] = []
    """Requests to decline; training seeds."""
    harmful_tests: list[Text] = []
    """Requests to decline that are never trained on."""
    harmless: list[Exchange] = []
    """Look-alikes that must be answered, with their answers; training seeds."""
    harmless_tests: list[Text] = []
    """Look-alikes that must be answered and are never trained on."""
    note: Text | None = None
    """Sentence behind each answer of a topic that wants care."""


class PackLanguage(PackSection):
    """A pack's texts in one language."""

    system_prompt: Text | None = None
    """System prompt; `{principles}` becomes the principles. Absent: that of the pack it extends."""
    principles: list[Text] = []
    """What the assistant holds to, one sentence each; those of the pack it extends stand before them."""
    helplines: list[Helpline] = []
    """Who helps; absent: those of the pack it extends."""
    refusals: list[Text] = []
    """Regular expressions of how refusals are worded, beside those that ship with seallm."""
    topics: dict[str, TopicTexts] = {}
    """Texts by topic."""

    @field_validator("refusals")
    @classmethod
    def _are_expressions(cls, refusals: list[str]) -> list[str]:
        for expression in refusals:
            try:
                re.compile(expression)
            except re.error as error:
                raise ValueError(f"`refusals` has {expression!r}, which is no regular expression: {error}") from None
        return refusals


class PackFile(PackSection):
    """A whole file."""

    about: Text
    """What the pack is for, in one line."""
    extends: Text | None = None
    """Another pack, by name or path; its languages that are named here are taken over."""
    topics: dict[str, Topic] = {}
    """Topics by name; one of the pack that is extended may be given another behaviour."""
    languages: dict[str, PackLanguage] = Field(min_length=1)
    """Texts by language code."""


@dataclass(frozen=True)
class Policy:
    """A pack with what it extends merged in, and checked.

    Attributes:
        name: the file's name without its ending.
        topics: by name.
        languages: by code; every one has a system prompt, principles and helplines as they stand in effect.
        is_shipped: True for a pack that comes with seallm.
    """

    name: str
    about: str
    topics: Mapping[str, Topic]
    languages: Mapping[str, PackLanguage]
    is_shipped: bool

    def system_prompt(self, language: str) -> str:
        """The system prompt of a language, principles filled in."""
        texts = self.languages[language]
        return (texts.system_prompt or "").replace(PRINCIPLES, " ".join(texts.principles)).strip()

    def system_prompts(self) -> dict[str, str]:
        """System prompts by language."""
        return {code: self.system_prompt(code) for code in self.languages}

    def helplines(self, language: str) -> str:
        """The helplines of a language as part of a sentence."""
        return "; ".join(f"{line.name} ({line.contact})" for line in self.languages[language].helplines)
