"""What pydantic found wrong in, one line in the words of the user's file out; an unknown key names the nearest one."""

import difflib
from collections.abc import Mapping, Sequence
from typing import Any, get_args, get_origin

from pydantic import BaseModel


def explain(error: Mapping[str, Any], root: type[BaseModel]) -> str:
    """One of `ValidationError.errors()` in the words of the file that `root` describes."""
    place = [str(part) for part in error["loc"]]
    name = ".".join(place)
    if error["type"] == "extra_forbidden":
        return f"unknown key `{name}`; " + nearest(place[-1], known_keys(root, place[:-1]), "keys")
    if error["type"] == "missing":
        return f"`{name}` is missing"
    message = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "value_error":
        return message
    return f"`{name}` = {error['input']!r}: {message}"


def nearest(wrong: str, known: Sequence[str], what: str) -> str:
    """The question whether the nearest of the known names was meant, or all of them."""
    near = difflib.get_close_matches(wrong, known, n=1, cutoff=0.5)
    return f"did you mean `{near[0]}`?" if near else f"known {what}: {', '.join(known)}"


def known_keys(root: type[BaseModel], place: Sequence[str]) -> list[str]:
    """Names of the settings in the section that a path of keys leads to."""
    annotation: object = root
    for key in place:
        annotation = _inner(annotation, key)
    model = _section(annotation)
    return list(model.model_fields) if model else []


def _section(annotation: object) -> type[BaseModel] | None:
    """The settings class in an annotation such as `Corpus | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _section(part))), None)


def _inner(annotation: object, key: str) -> object:
    """The annotation of what lies under a key: a field of a section, or any entry of a list or table."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation.model_fields[key].annotation
    if get_origin(annotation) in (list, dict):
        return get_args(annotation)[-1]
    member = next((part for part in get_args(annotation) if _section(part)), None)
    return _inner(member, key) if member is not None else None
