"""A pack's name or path in, a checked `Policy` out; what is wrong is one line in the words of the file.

A name is looked for as `policies/<name>.toml` of the user first, so that a file of theirs may take the place of a
shipped pack, then among those that ship with seallm.
"""

import difflib
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path

from pydantic import ValidationError

from seallm.base.errors import RecipeError
from seallm.base.setting_errors import explain, nearest
from seallm.languages import known_languages
from seallm.policies.pack import DECLINING, HELPLINES, PRINCIPLES, PackFile, PackLanguage, Policy, Topic, TopicTexts

SHIPPED = Path(str(resources.files("seallm"))) / "policies" / "packs"


def shipped_policies() -> list[str]:
    """Names of the packs that come with seallm, the neutral one first."""
    names = sorted(file.stem for file in SHIPPED.glob("*.toml"))
    return sorted(names, key=lambda name: name != "default")


def known_policies(folder: Path) -> list[str]:
    """Names of the shipped packs, then of those in `policies/` of a folder."""
    shipped = shipped_policies()
    return [*shipped, *sorted(file.stem for file in (folder / "policies").glob("*.toml") if file.stem not in shipped)]


def find_policy(name: str, folder: Path, seen: Sequence[Path] = ()) -> Path:
    """The file of a pack.

    Args:
        name: of a shipped pack or of one in `policies/`, or a path that ends in `.toml`.
        folder: where relative paths, and `policies/`, start.
        seen: files that are extended already; another of the same name is taken.

    Raises:
        RecipeError: there is none.
    """
    if name.endswith(".toml"):
        places = [folder / Path(name).expanduser()]
    else:
        own = [folder / "policies", *(file.parent for file in seen)]
        places = [place / f"{name}.toml" for place in (*own, SHIPPED)]
    found = [place for place in places if place.is_file()]
    if not found and name.endswith(".toml"):
        raise RecipeError(f"There is no policy pack {places[0]}. Shipped packs: {', '.join(shipped_policies())}")
    if not found:
        known = known_policies(folder)
        raise RecipeError(
            f"There is no policy pack {name!r} ({nearest(name, known, 'packs')}). A pack of your own is "
            f"policies/{name}.toml in {folder}, or a path that ends in .toml"
        )
    return next((place for place in found if place not in seen), found[0])


def policy_files(name: str, folder: Path) -> list[Path]:
    """The file of a pack, then those it extends.

    Raises:
        RecipeError: one is missing or malformed, or they extend each other in a circle.
    """
    return [path for path, _ in _chain(name, folder)]


def load_policy(name: str, folder: Path) -> Policy:
    """Read a pack with those it extends, and check it.

    Raises:
        RecipeError: a file is missing, malformed or contradictory; the message names file and place.
    """
    chain = list(_chain(name, folder))
    path, file = chain[0]
    topics: dict[str, Topic] = {}
    languages: dict[str, PackLanguage] = {}
    for _, pack in reversed(chain):
        topics |= pack.topics
        languages = {code: _over(languages.get(code), texts) for code, texts in pack.languages.items()}
    policy = Policy(path.stem, file.about, topics, languages, path.parent == SHIPPED)
    for problem in _problems(policy):
        raise RecipeError(f"{path}: {problem}")
    return policy


def _chain(name: str, folder: Path) -> Iterator[tuple[Path, PackFile]]:
    seen: list[Path] = []
    wanted: str | None = name
    while wanted is not None:
        path = find_policy(wanted, folder, seen)
        if path in seen:
            raise RecipeError(f"{seen[-1]}: `extends` leads back to {path}; a pack cannot extend itself")
        seen.append(path)
        file = _read(path)
        yield path, file
        wanted = file.extends


def _read(path: Path) -> PackFile:
    try:
        return PackFile.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path} is not a TOML file: {error}") from None
    except ValidationError as error:
        raise RecipeError(f"{path}: " + "; ".join(explain(e, PackFile) for e in error.errors())) from None


def _over(below: PackLanguage | None, own: PackLanguage) -> PackLanguage:
    """A language's own texts over those of the pack that is extended."""
    if below is None:
        return own
    return PackLanguage(
        system_prompt=own.system_prompt or below.system_prompt,
        principles=[*below.principles, *own.principles],
        helplines=own.helplines or below.helplines,
        refusals=[*below.refusals, *own.refusals],
        topics={**below.topics, **own.topics},
    )


def _problems(policy: Policy) -> Iterator[str]:
    if not policy.topics:
        yield "`topics` is empty; a pack needs at least one [topics.<name>], its own or of the pack it `extends`"
    known = known_languages()
    for code, texts in policy.languages.items():
        if code not in known:
            near = difflib.get_close_matches(code, known, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}? " if near else ""
            yield f"`languages.{code}`: unknown language {code!r}; {hint}known: {', '.join(known)}"
        yield from _problems_of_language(code, texts, policy.topics)


def _problems_of_language(code: str, texts: PackLanguage, topics: Mapping[str, Topic]) -> Iterator[str]:
    place = f"`languages.{code}`"
    if texts.system_prompt is None:
        yield f"{place}: `system_prompt` is missing"
    elif bool(texts.principles) != (PRINCIPLES in texts.system_prompt):
        yield (
            f"{place}: `system_prompt` and `principles` do not fit; write {PRINCIPLES} into the prompt where the "
            "principles belong, and give at least one"
        )
    if not texts.topics:
        yield f"{place}: `topics` is empty; expected texts of at least one of {', '.join(topics)}"
    for name, said in texts.topics.items():
        if name not in topics:
            yield f"`languages.{code}.topics.{name}` is a topic that [topics] does not have; " + nearest(
                name, list(topics), "topics"
            )
        else:
            yield from (
                f"`languages.{code}.topics.{name}`: {problem}"
                for problem in _problems_of_topic(topics[name].behaviour, said, bool(texts.helplines), code)
            )
    yield from _repeated(code, texts)


def _problems_of_topic(behaviour: str, said: TopicTexts, has_helplines: bool, code: str) -> Iterator[str]:
    harmful = said.harmful + said.harmful_tests
    if not harmful and not said.harmless and not said.harmless_tests:
        yield "has no prompts; give `harmful`, `harmless` or their tests"
    if behaviour not in DECLINING and (harmful or said.replies):
        yield f"the topic's behaviour is {behaviour!r}, so it cannot have `harmful`, `harmful_tests` or `replies`"
    if said.harmful and not said.replies:
        yield "`harmful` needs `replies`: what the assistant says instead of complying"
    if (behaviour == "care") != (said.note is not None):
        yield f"`note` belongs to topics with behaviour 'care', and each of them needs one; this one is {behaviour!r}"
    if behaviour == "redirect" and not has_helplines:
        yield f"redirects, but [languages.{code}] has no `helplines`; give at least one {{ name, contact }}"
    for reply in said.replies:
        if (HELPLINES in reply) != (behaviour == "redirect"):
            wanted = "must say" if behaviour == "redirect" else "cannot say"
            yield f"a reply of a topic with behaviour {behaviour!r} {wanted} {HELPLINES}: {reply[:60]!r}"


def _repeated(code: str, texts: PackLanguage) -> Iterator[str]:
    """A prompt that stands twice: a test that is trained on, or one that is counted twice, would be no test."""
    places: dict[str, str] = {}
    for name, said in texts.topics.items():
        lists = {"harmful": said.harmful, "harmful_tests": said.harmful_tests, "harmless_tests": said.harmless_tests}
        lists["harmless"] = [exchange.prompt for exchange in said.harmless]
        for kind, prompts in lists.items():
            for prompt in prompts:
                place = f"{name}.{kind}"
                if prompt.casefold() in places:
                    yield (
                        f"`languages.{code}.topics`: the same prompt stands in {places[prompt.casefold()]} and in "
                        f"{place}: {prompt[:60]!r}"
                    )
                places[prompt.casefold()] = place
