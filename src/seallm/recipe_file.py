"""Recipe files: TOML text and `--set` overrides in, a checked `Recipe` out; errors in the words of the file.

Also turns the recipe's field documentation into the reference page `docs/recipe.md`.
"""

import tomllib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from seallm.base.errors import RecipeError
from seallm.base.files import resolve_path
from seallm.base.setting_errors import explain
from seallm.languages import load_languages, use_language_files
from seallm.policies.loading import load_policy, policy_files
from seallm.recipe import Recipe
from seallm.recipe_instructions import Instructions
from seallm.recipe_section import InputMarker, PolicyMarker
from seallm.recipe_training import Mixture


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read and check a recipe.

    Args:
        path: a TOML file.
        overrides: settings to change, as `pretrain.batch_tokens=4096`; the value is TOML.

    Raises:
        RecipeError: the file is missing or not TOML, or a setting is unknown, of the wrong type or contradictory.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        near = sorted(str(p) for p in path.parent.glob("*.toml")) if path.parent.is_dir() else []
        raise RecipeError(f"{path} does not exist." + (f" Recipes there: {', '.join(near)}" if near else "")) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, IsADirectoryError) as error:
        raise RecipeError(f"{path} is not a TOML file: {error}") from None
    return check_recipe(values, overrides, path)


def check_recipe(values: dict[str, Any], overrides: Sequence[str], path: Path) -> Recipe:
    """Check the settings of a recipe that was read, or put together, by its name or file.

    Args:
        values: nested settings, as TOML gives them.
        overrides: as for `load_recipe`.
        path: what messages call it; relative paths start at its folder.

    Raises:
        RecipeError: a setting is unknown, of the wrong type or contradictory.
    """
    for override in overrides:
        _apply(values, override)
    try:
        recipe = Recipe.model_validate(values)
    except ValidationError as error:
        raise RecipeError(f"{path}: " + "; ".join(explain(e, Recipe) for e in error.errors())) from None
    use_language_files([resolve_path(file, path.parent) for file in recipe.language_files])
    load_languages(tuple(recipe.languages))
    for stage in (recipe.hybrid, recipe.sft, recipe.evaluate):
        if stage is not None and stage.policy is not None:
            load_policy(stage.policy, path.parent)  # what is wrong with it is told before anything is run
    recipe = _without_hybrid_part(recipe)
    _check_stages(recipe, path)
    return recipe


def _without_hybrid_part(recipe: Recipe) -> Recipe:
    """Where [sft] alone takes from [instructions], nothing is kept for a hybrid stage unless the recipe says so."""
    instructions = recipe.instructions
    if instructions is None or recipe.sft is None or recipe.hybrid is not None:
        return recipe
    if "hybrid_languages" in instructions.model_fields_set:
        return recipe
    return recipe.model_copy(update={"instructions": instructions.model_copy(update={"hybrid_languages": []})})


def parse_override(override: str) -> tuple[str, object]:
    """The name and the value of one `key=value`; the value is TOML, a bare word a string.

    Raises:
        RecipeError: there is no `=` in it.
    """
    name, sign, text = override.partition("=")
    if not sign:
        raise RecipeError(f"--set {override}: expected key=value, for example --set pretrain.batch_tokens=4096")
    try:
        return name.strip(), tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return name.strip(), text


def _apply(values: dict[str, Any], override: str) -> None:
    """Put one `section.key=value` into the nested dictionary."""
    name, value = parse_override(override)
    *parents, key = name.split(".")
    place: Any = values
    for parent in parents:
        place = place[int(parent)] if isinstance(place, list) and parent.isdigit() else place.setdefault(parent, {})
        if not isinstance(place, dict | list):
            raise RecipeError(f"--set {override}: {parent!r} is not a section")
    if isinstance(place, list):
        raise RecipeError(f"--set {override}: name the entry by number, for example pretrain.mixtures.0.tokens=1000")
    place[key] = value


def _classes(annotation: object) -> Iterator[type[BaseModel]]:
    """Settings classes inside an annotation such as `list[Mixture]` or `Corpus | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _classes(argument)


def _check_stages(recipe: Recipe, path: Path) -> None:
    """Stages that need another stage's result, and conditions between sections."""
    needs = {"vocab": "corpus", "pretrain": "corpus", "hybrid": "corpus", "prefer": "sft"}
    for stage, needed in needs.items():
        if getattr(recipe, stage) is not None and getattr(recipe, needed) is None:
            raise RecipeError(f"{path}: [{stage}] needs the result of [{needed}], which the recipe does not have")
    if recipe.prefer is not None and recipe.prefer.rounds > 1 and recipe.dpo is None:
        raise RecipeError(f"{path}: [prefer] rounds = {recipe.prefer.rounds} needs [dpo], which ends each round")
    imports_pairs = recipe.instructions is not None and recipe.dpo is not None and recipe.dpo.imported
    if recipe.dpo is not None and recipe.prefer is None and not recipe.dpo.preferences and not imports_pairs:
        raise RecipeError(
            f"{path}: [dpo] needs pairs: a [prefer] section, files named by its `preferences`, or preferences that "
            "[instructions] imports"
        )
    if recipe.vocab is not None and recipe.pretrain is None:
        raise RecipeError(
            f"{path}: [vocab] adds tokens that only [pretrain] can teach the model; add it or leave [vocab] out"
        )
    if recipe.vocab is not None:
        _check_languages("settings of [vocab]", sorted(recipe.vocab.languages_named()), recipe.languages, path)
    for mixture in recipe.pretrain.mixtures if recipe.pretrain else ():
        _check_mixture(mixture, recipe.languages, path)
    if recipe.sft is not None:
        _check_languages("sft.language_caps", recipe.sft.language_caps, recipe.languages, path)
    _check_conversations(recipe, path)


def _check_conversations(recipe: Recipe, path: Path) -> None:
    """Conversations come from [instructions], or else from files that the stages name."""
    for name, stage in (("hybrid", recipe.hybrid), ("sft", recipe.sft), ("prefer", recipe.prefer)):
        if stage is not None and recipe.instructions is None and not stage.conversations:
            raise RecipeError(f"{path}: `{name}.conversations` is missing; name files, or add [instructions]")
        if stage is not None and recipe.instructions is not None and stage.conversations:
            raise RecipeError(
                f"{path}: [{name}] takes its conversations from [instructions]. Leave `{name}.conversations` out, and "
                "name its files in [[instructions.sources]]"
            )
    if recipe.instructions is not None:
        if recipe.instructions.hybrid_languages and recipe.sft is not None and recipe.hybrid is None:
            raise RecipeError(
                f"{path}: `instructions.hybrid_languages` keeps conversations for [hybrid], which the recipe does not "
                "have. Leave it out, or add [hybrid]"
            )
        _check_instructions(recipe.instructions, recipe.languages, path)


def _check_instructions(instructions: Instructions, languages: Sequence[str], path: Path) -> None:
    """What is made, capped or sent to the hybrid stage is in languages of the recipe: others would be dropped."""
    named: dict[str, Iterable[str]] = {"language_caps": instructions.language_caps}
    if "hybrid_languages" in instructions.model_fields_set:
        named["hybrid_languages"] = instructions.hybrid_languages
    named["quotas"] = [key.split(".")[0] for key in instructions.quotas if "." in key]  # without: it may be a category
    if instructions.teacher is not None:
        named["teacher.translate_to"] = instructions.teacher.translate_to
        named["teacher.self_instruct"] = instructions.teacher.self_instruct
    for name, codes in named.items():
        _check_languages(f"instructions.{name}", codes, languages, path)


def _check_mixture(mixture: Mixture, languages: Sequence[str], path: Path) -> None:
    """Shares and targets are of languages of the recipe, and fit into the whole."""
    _check_languages(f"shares of mixture {mixture.name!r}", mixture.shares, languages, path)
    fixed = {languages[0]: mixture.base_language_share} | mixture.shares
    if sum(fixed.values()) > 1 + 1e-9:
        raise RecipeError(
            f"{path}: mixture {mixture.name!r}: `shares` with that of {languages[0]} add up to "
            f"{sum(fixed.values()):.3g}, more than 1"
        )
    targets = mixture.dynamic.targets if mixture.dynamic else {}
    _check_languages(f"targets of mixture {mixture.name!r}", targets, languages, path)
    missing = [code for code in languages[1:] if targets and code not in targets]
    if missing:
        raise RecipeError(
            f"{path}: mixture {mixture.name!r}: `targets` lacks {', '.join(missing)}. Name every language but the base "
            "one, or none"
        )


def _check_languages(name: str, codes: Iterable[str], languages: Sequence[str], path: Path) -> None:
    for code in codes:
        if code not in languages:
            raise RecipeError(f"{path}: {name}: {code!r} is not one of the recipe's languages: {', '.join(languages)}")


def input_paths(section: BaseModel, folder: Path) -> Iterator[str]:
    """Every path a section names as input, in order; of a policy pack in `folder`, its file and those it extends."""
    for name, info in type(section).model_fields.items():
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            yield from input_paths(value, folder)
        elif isinstance(value, list) and value and isinstance(value[0], BaseModel):
            for part in value:
                yield from input_paths(part, folder)
        elif value is not None and _is_marked(info, InputMarker):
            yield from value if isinstance(value, list) else [value]
        elif value is not None and _is_marked(info, PolicyMarker):
            yield from map(str, policy_files(value, folder))


def _is_marked(info: FieldInfo, marker: type) -> bool:
    def marked(annotation: object) -> bool:
        metadata = getattr(annotation, "__metadata__", ())
        return any(isinstance(m, marker) for m in metadata) or any(marked(a) for a in get_args(annotation))

    return any(isinstance(m, marker) for m in info.metadata) or marked(info.annotation)


def reference_page() -> str:
    """The Markdown page that documents every setting, from the text under each field."""
    head = (
        "# Recipe reference\n\nGenerated by `make docs` from `src/seallm/recipe.py`; do not edit.\n\n"
        "Every setting can be changed on the command line: `seallm run recipe.toml --set pretrain.batch_tokens=4096`.\n"
    )
    return head + "".join(_section_page(Recipe, "", {Recipe}))


def _section_page(model: type[BaseModel], place: str, seen: set[type[BaseModel]]) -> Iterator[str]:
    title = f"`[{place}]`" if place else "The top of the file"
    yield f"\n## {title}\n\n{(model.__doc__ or '').strip()}\n\n"
    yield "| setting | type | default | meaning |\n|---|---|---|---|\n"
    nested = []
    for name, info in model.model_fields.items():
        inner = next(_classes(info.annotation), None)
        if inner is not None:
            nested.append((name, inner))
        kind = _type_name(info.annotation).replace("|", "\\|")
        default = "required" if info.is_required() else f"`{_default_text(info)}`"
        meaning = info.description or (inner.__doc__ if inner else "") or ""
        yield f"| `{name}` | {kind} | {default} | {meaning.strip()} |\n"
    for name, inner in nested:
        if inner not in seen:
            seen.add(inner)
            yield from _section_page(inner, f"{place}.{name}".lstrip("."), seen)


def _type_name(annotation: object) -> str:
    if isinstance(annotation, type) and not get_args(annotation):
        return "section" if issubclass(annotation, BaseModel) else annotation.__name__
    text = str(annotation)
    if text.startswith("dict"):
        return f"table of {_type_name(get_args(annotation)[1])}"
    if "Literal" in text and not text.startswith("list"):
        return " or ".join(f'"{a}"' for a in get_args(annotation))
    inner = [
        _type_name(a)
        for a in get_args(annotation)
        if not isinstance(a, InputMarker | PolicyMarker | FieldInfo) and a is not type(None)
    ]
    if get_origin(annotation) is list:
        return f"list of {inner[0]}"
    return inner[0] if inner else text


def _default_text(info: FieldInfo) -> str:
    value = info.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        shown = value.model_dump(exclude_defaults=True)
        return ", ".join(f"{k} = {v}" for k, v in shown.items()) or "defaults"
    return "none" if value is None else str(value)


if __name__ == "__main__":
    print(reference_page())
