"""Answers in, tokens and money for each language out; and the guess of both before anything is spent."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from seallm.base.errors import EndpointError

PER = 1_000_000
_ASCII_CHARACTERS_A_TOKEN = 4
_PRICE = re.compile(r"(\d+(?:\.\d+)?)/(\d+(?:\.\d+)?)")


@dataclass(frozen=True)
class Price:
    """What a million tokens cost, of questions and of answers, in one currency."""

    question: float = 0.0
    answer: float = 0.0


def parse_price(text: str) -> Price:
    """Read `0.15/0.60`: a million tokens of questions, a million tokens of answers.

    Raises:
        EndpointError: it is something else.
    """
    found = _PRICE.fullmatch(text.replace(" ", ""))
    if found is None:
        raise EndpointError(f"The price {text!r} is not two numbers such as 0.15/0.60: a million tokens in, and out")
    return Price(float(found[1]), float(found[2]))


@dataclass
class Usage:
    """What was asked and answered.

    Attributes:
        calls: answers that were made now.
        reused: answers that were on disk.
        failed: questions that got no answer.
        question_tokens: of the calls.
        answer_tokens: of the calls.
        estimated_calls: calls whose tokens the server did not tell, so that they were guessed.
    """

    calls: int = 0
    reused: int = 0
    failed: int = 0
    question_tokens: int = 0
    answer_tokens: int = 0
    estimated_calls: int = 0

    def add(self, other: "Usage") -> None:
        """Count another's too."""
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)

    def cost(self, price: Price) -> float:
        """Money for the calls."""
        return (self.question_tokens * price.question + self.answer_tokens * price.answer) / PER


@dataclass
class Meter:
    """Usage by language; "" where none was named."""

    price: Price = field(default_factory=Price)
    by_language: dict[str, Usage] = field(default_factory=dict)

    def of(self, language: str) -> Usage:
        """The count of one language, to add to."""
        return self.by_language.setdefault(language, Usage())

    @property
    def total(self) -> Usage:
        """All languages together."""
        whole = Usage()
        for usage in self.by_language.values():
            whole.add(usage)
        return whole

    def rows(self) -> list[dict[str, object]]:
        """One row a language and one for all, in the order of codes: the counts, and `cost`."""
        named: Mapping[str, Usage] = {**dict(sorted(self.by_language.items())), "all": self.total}
        return [{"language": name, **vars(u), "cost": round(u.cost(self.price), 6)} for name, u in named.items()]


def estimated_tokens(text: str) -> int:
    """A guess without a tokenizer, rather too high: a token for four ASCII characters or one other character."""
    others = sum(not character.isascii() for character in text) if not text.isascii() else 0
    return others + -(-(len(text) - others) // _ASCII_CHARACTERS_A_TOKEN)
