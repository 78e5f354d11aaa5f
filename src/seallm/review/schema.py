"""The shapes of the review page's requests, checked strictly."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from seallm.base.records import Message, Role
from seallm.review.judging import Verdict

MAX_NOTE_CHARACTERS = 2_000
MAX_TURN_CHARACTERS = 200_000
MAX_SECONDS = 86_400.0


def _encodable(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("half of a surrogate pair is no character") from None
    return text


Text = Annotated[str, AfterValidator(_encodable)]


class Shape(BaseModel):
    """Base of what clients send: unknown fields are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Turn(Shape):
    """One turn of an edit."""

    role: Role
    content: Annotated[Text, Field(max_length=MAX_TURN_CHARACTERS)]


class Judgement(Shape):
    """Body of POST /api/judgements."""

    item: Annotated[Text, Field(max_length=40)]
    verdict: Literal["accept", "edit", "reject", "left", "right", "tie", "both_bad", "skip"]
    reasons: Annotated[list[Text], Field(max_length=20)] = []
    note: Annotated[Text, Field(max_length=MAX_NOTE_CHARACTERS)] = ""
    messages: Annotated[list[Turn], Field(max_length=200)] = []
    """All turns as they should be; for the verdict "edit" alone."""
    seconds: Annotated[float | None, Field(ge=0, le=MAX_SECONDS, allow_inf_nan=False)] = None

    def to_verdict(self) -> Verdict:
        """What it says."""
        messages = tuple(Message(turn.role, turn.content) for turn in self.messages)
        return Verdict(self.item, self.verdict, tuple(self.reasons), self.note, messages, self.seconds)


class Empty(Shape):
    """Body of POST /api/undo."""


FIELDS = frozenset(name for shape in (Turn, Judgement) for name in shape.model_fields)
