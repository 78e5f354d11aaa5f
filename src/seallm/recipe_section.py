"""What all sections of the recipe share: strictness, documentation by the text under each field, types of numbers."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[int, Field(gt=0)]
PositiveFloat = Annotated[float, Field(gt=0)]


class InputMarker:
    """Marks a setting that names files: their content is part of a stage's fingerprint."""


class PolicyMarker:
    """Marks a setting that names a policy pack: a shipped one, or a file."""


InputPath = Annotated[str, InputMarker()]
PolicyName = Annotated[str, PolicyMarker()]


class Section(BaseModel):
    """Common behaviour of all sections: strict, frozen, documented by the text under each field."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)
