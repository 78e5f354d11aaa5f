"""The verbs `seallm policy ...`: which packs there are, what one says, whether a file is right, its seeds and tests."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from seallm.policies.pack import Policy

app = typer.Typer(
    name="policy",
    help="How an assistant should behave: packs of principles, system prompts, topics, seeds and tests.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)

Name = Annotated[
    str, typer.Argument(metavar="NAME", help="A shipped pack, one in policies/, or a path to a TOML file.")
]
Languages = Annotated[str | None, typer.Option(metavar="CODES", help="As en,th; absent: all of the pack.")]


@app.command("list", epilog="Example: seallm policy list")
def list_packs() -> None:
    """Show the packs that come with seallm, and those in policies/."""
    from rich.console import Console
    from rich.table import Table

    from seallm.base.errors import RecipeError
    from seallm.policies.loading import known_policies, load_policy

    here = Path.cwd()
    table = Table("pack", "languages", "about")
    for name in known_policies(here):
        try:
            policy = load_policy(name, here)
        except RecipeError as error:  # the others can be used all the same
            table.add_row(f"{name} (yours)", "", f"cannot be used: {error}")
        else:
            table.add_row(name if policy.is_shipped else f"{name} (yours)", " ".join(policy.languages), policy.about)
    Console().print(table)


@app.command(epilog="Example: seallm policy show th")
def show(
    name: Name,
    show_prompts: Annotated[bool, typer.Option("--show-prompts", help="Show harmful prompts and tests too.")] = False,
) -> None:
    """Show what a pack says: topics, system prompts, helplines, replies, and how many prompts there are."""
    from rich.console import Console

    from seallm.policies.showing import policy_lines

    console = Console(highlight=False, soft_wrap=True, markup=False)
    for line in policy_lines(_load(name), with_prompts=show_prompts):
        console.print(line)


@app.command(epilog="Example: seallm policy check policies/my-country.toml")
def check(name: Name) -> None:
    """Check a pack: mistakes are errors, what is likely to be one is listed."""
    from seallm.policies.checks import warnings

    policy = _load(name)
    found = list(warnings(policy))
    for line in found:
        print(f"warning: {line}")
    print(f"{policy.name}: {len(policy.topics)} topics in {', '.join(policy.languages)}; {len(found)} warnings")


@app.command(
    epilog="Example: seallm policy seeds default --out chats/safety.jsonl, then name it in [sft] conversations"
)
def seeds(
    name: Name,
    out: Annotated[Path, typer.Option(metavar="F.jsonl", help="File to write: one conversation a line.")],
    languages: Languages = None,
) -> None:
    """Write conversations for fine-tuning: declined and redirected requests, and look-alikes that are answered."""
    from seallm.base.records import write_conversations
    from seallm.policies.prompts import seed_conversations

    policy = _load(name)
    found = seed_conversations(policy, _codes(languages, policy))
    write_conversations(out, found)
    print(f"{out}: {len(found)} conversations in {len({c.language for c in found})} languages")


@app.command(
    "tests", epilog="Example: seallm policy tests default --out tests.jsonl, then name it in [evaluate] safety_prompts"
)
def write_tests(
    name: Name,
    out: Annotated[Path, typer.Option(metavar="F.jsonl", help="File to write: one prompt a line.")],
    languages: Languages = None,
) -> None:
    """Write prompts for refusal and over-refusal that no seed contains, as `[evaluate] safety_prompts` reads them."""
    from seallm.base.files import write_json_lines
    from seallm.policies.prompts import held_out_prompts

    policy = _load(name)
    found = held_out_prompts(policy, _codes(languages, policy))
    write_json_lines(out, (asdict(prompt) for prompt in found))
    harmful = sum(prompt.kind == "harmful" for prompt in found)
    print(f"{out}: {harmful} harmful and {len(found) - harmful} harmless prompts")


def _load(name: str) -> "Policy":
    from seallm.policies.loading import load_policy

    return load_policy(name, Path.cwd())


def _codes(languages: str | None, policy: "Policy") -> list[str] | None:
    from seallm.base.errors import RecipeError

    if languages is None:
        return None
    codes = languages.replace(",", " ").split()
    for code in codes:
        if code not in policy.languages:
            raise RecipeError(
                f"--languages has {code!r}, which pack {policy.name} does not have; it has "
                f"{', '.join(policy.languages)}"
            )
    return codes
