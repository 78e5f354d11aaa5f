"""The verbs `seallm export` and `seallm push`: a model in, what other programs load out; that folder to a hub."""

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer

if TYPE_CHECKING:
    from seallm.export.gguf_check import Check
    from seallm.export.gguf_file import GgufType
    from seallm.export.hugging_face import NumberType

export_app = typer.Typer(add_completion=False, rich_markup_mode=None)
_TYPES = {"hf": ("float32", "bfloat16", "float16"), "gguf": ("f32", "f16", "bf16", "q8_0")}
_GOES_WITH = {
    "shard_gib": ("hf",),
    "policy": ("ollama",),
    "language": ("ollama",),
    "max_different_ids": ("gguf", "ollama"),
    "output_check": ("gguf", "ollama"),
}  # options that mean something for some forms alone
_RECIPE = "recipe.json"


@export_app.command(epilog="Example: seallm export runs/my-model --to gguf --type q8_0 --out my-model-gguf")
def export(
    context: typer.Context,
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A run, a stage of a run, or a Hugging Face folder.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder to write; an earlier export in it is replaced.")],
    to: Annotated[Literal["hf", "gguf", "ollama"], typer.Option(help="What is written.")] = "hf",
    number_type: Annotated[
        str | None,
        typer.Option("--type", help="hf: float32, bfloat16, float16 (absent: as it is); else q8_0, f16, bf16, f32."),
    ] = None,
    stage: Annotated[str | None, typer.Option(metavar="STAGE", help="Of a run; absent: the newest model.")] = None,
    step: Annotated[
        int | None, typer.Option(min=1, help="A step with a checkpoint; absent: the end, or the newest so far.")
    ] = None,
    shard_gib: Annotated[float, typer.Option(min=0.0001, help="hf: largest weight file.")] = 5.0,
    licence: Annotated[str | None, typer.Option(metavar="ID", help="Of the model, in its card.")] = None,
    policy: Annotated[str | None, typer.Option(metavar="NAME", help="ollama: pack of the system prompt.")] = None,
    language: Annotated[str, typer.Option(metavar="CODE", help="ollama: language of that prompt.")] = "en",
    max_different_ids: Annotated[
        float, typer.Option(min=0, max=1, help="gguf, ollama: share of tokens llama.cpp may cut otherwise.")
    ] = 0.01,
    output_check: Annotated[
        bool, typer.Option("--output-check/--no-output-check", help="gguf, ollama: compare greedy output too.")
    ] = True,
) -> None:
    """Write a model as a Hugging Face folder, a GGUF file or for Ollama, and check what was written."""
    allowed = _TYPES["hf" if to == "hf" else "gguf"]
    if number_type is not None and number_type not in allowed:
        raise typer.BadParameter(f"--type {number_type}: expected one of {', '.join(allowed)} for --to {to}")
    _refuse_without_effect(context, to)
    from seallm.export.folder import refuse_foreign

    refuse_foreign(out)
    with _chosen(model, stage, step, out) as (folder, name):
        card = _card(model, folder, licence)
        if to == "hf":
            from seallm.export.hugging_face import export_hugging_face

            chosen = cast("NumberType | None", number_type)
            export_hugging_face(folder, out, name, number_type=chosen, shard_gib=shard_gib, card=card)
        else:
            from seallm.export.gguf import GgufSettings, export_gguf

            system = None if policy is None else _system_prompt(policy, language)
            wanted = cast("GgufType", number_type or "q8_0")
            settings = GgufSettings(wanted, max_different_ids, output_check, to == "ollama", system)
            _show(export_gguf(folder, out, name, settings, card, print))
    print(f"{out}: {name}")
    if to == "ollama":
        print(f"Next: ollama create {name.replace('/', '-')} -f {out}/Modelfile")


def _refuse_without_effect(context: typer.Context, to: str) -> None:
    for name, forms in _GOES_WITH.items():
        source = context.get_parameter_source(name)
        if to not in forms and source is not None and source.name == "COMMANDLINE":
            option = "no-output-check" if name == "output_check" else name.replace("_", "-")
            raise typer.BadParameter(f"--{option} goes with --to {' or '.join(forms)}; with --to {to} it has no effect")


@contextmanager
def _chosen(model: Path, stage: str | None, step: int | None, out: Path) -> Iterator[tuple[Path, str]]:
    """Folder and name of the model; that of a checkpoint is written beside `out` and goes at the end."""
    from seallm.model.places import find_model

    if stage is None:
        if step is not None:
            raise typer.BadParameter("--step goes with --stage")
        found = find_model(model)
        yield found.folder, found.name
        return
    from seallm.run_stage import stage_of_run

    settings, context = stage_of_run(model, stage)
    if step is None and (context.out / "model" / "config.json").is_file():
        found = find_model(context.out)
        yield found.folder, found.name
        return
    from seallm.train.export import export_checkpoint

    scratch = out.with_name(f".{out.name}.checkpoint")
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        made = export_checkpoint(settings, context, step, scratch / "model")
        yield scratch / "model", f"{model.expanduser().resolve().name}/{stage}-step-{made}"
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _card(model: Path, folder: Path, licence: str | None) -> str | None:
    """A run's card is made of its files; that of a plain folder is copied."""
    from seallm.base.errors import DataError, RecipeError
    from seallm.card_verbs import card_of_run

    place = model.expanduser().resolve()
    for run in (place, *list(place.parents)[:2]):
        if (run / _RECIPE).is_file():
            try:
                return card_of_run(run, licence)
            except (RecipeError, DataError) as error:  # a run of an older version still has its model
                print(f"No model card: {error}", file=sys.stderr)
                return None
    own = folder / "README.md"
    return own.read_text(encoding="utf-8") if own.is_file() else None


def _system_prompt(policy: str, language: str) -> str:
    from seallm.base.errors import RecipeError
    from seallm.policies.loading import load_policy

    prompts = load_policy(policy, Path.cwd()).system_prompts()
    if language not in prompts:
        raise RecipeError(f"The policy {policy} has no prompt in {language!r}; it has {', '.join(prompts)}")
    return prompts[language]


def _show(check: "Check") -> None:
    print(f"Tensors: {check.tensors:,} read back as written; largest difference {check.largest_difference:.2g}")
    others = {code: share for code, share in check.different_share.items() if share}
    if others:
        listed = ", ".join(f"{code} {share:.3%}" for code, share in sorted(others.items(), key=lambda p: -p[1]))
        print(f"Token ids: {check.texts} texts by {check.ids_by}; cut otherwise, of all tokens: {listed}")
    else:
        print(f"Token ids: equal on {check.texts} texts in {len(check.different_share)} groups, by {check.ids_by}")
    if check.not_done:
        done = ", ".join(check.not_done)
        print(f"Note: this tokenizer changes a text first ({done}) and llama.cpp does not: send it texts in that form")
    if check.greedy_by is None:
        print("Greedy output: not compared")
    else:
        tokens = check.prompts * check.greedy_tokens
        print(
            f"Greedy output: {check.equal_prompts} of {check.prompts} prompts equal over {check.greedy_tokens} tokens, "
            f"{check.equal_tokens} of {tokens} tokens before a difference, by {check.greedy_by}"
        )


@export_app.command(epilog="Example: seallm push my-model-hf my-name/my-model --dry-run")
def push(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="From seallm export.")],
    name: Annotated[str, typer.Argument(metavar="REPO", help="owner/name on the hub.")],
    private: Annotated[bool, typer.Option("--private/--public", help="Who may see a new repository.")] = True,
    message: Annotated[str, typer.Option(help="Of the commit.")] = "Model exported by seallm",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List the files and send nothing.")] = False,
) -> None:
    """Send an exported folder to the Hugging Face hub (or HF_ENDPOINT); log in with `hf auth login` or HF_TOKEN."""
    from seallm.export.hub import files_to_push
    from seallm.export.hub import push as send

    files = files_to_push(folder)
    for file in files:
        print(f"{file.stat().st_size:>16,}  {file.name}")
    if dry_run:
        print(f"{len(files)} files would go to {name} ({'private' if private else 'public'} if new)")
    else:
        print(send(folder, files, name, private=private, message=message))
