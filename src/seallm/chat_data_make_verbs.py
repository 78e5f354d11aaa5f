"""The verbs `seallm chat-data translate | self-instruct | paraphrase | refine | from-templates`: make conversations."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seallm.base.errors import DataError, EndpointError, RecipeError

if TYPE_CHECKING:
    from seallm.base.records import Conversation
    from seallm.chat_data.made import Outcome
    from seallm.chat_data.teaching import Teacher

make_app = typer.Typer(add_completion=False, rich_markup_mode=None)

Files = Annotated[
    list[Path], typer.Argument(metavar="FILE...", help="JSONL files of conversations, or folders of them.")
]
Out = Annotated[
    Path, typer.Option(metavar="FILE", help="JSONL file to write; .dropped.jsonl and .cost.json beside it.")
]
Place = Annotated[
    str, typer.Option("--teacher", metavar="PLACE", help="A run or model folder, vllm:FOLDER, or http://host/v1#model.")
]
Key = Annotated[str, typer.Option(metavar="SOURCE", help="Where the server's key is: env:NAME or file:PATH.")]
DEFAULT_KEY = "env:SEALLM_ENDPOINT_KEY"
DryRun = Annotated[bool, typer.Option("--dry-run", help="Ask nothing: guess calls, tokens and cost by language.")]
PriceText = Annotated[
    str, typer.Option("--price", metavar="IN/OUT", help="Cost of a million tokens asked and answered, as 0.15/0.60.")
]
MostCost = Annotated[float | None, typer.Option(min=0, help="Do not begin where the guess is above this cost.")]
Rate = Annotated[float | None, typer.Option(min=0.01, help="Most calls a minute.")]
TokenRate = Annotated[float | None, typer.Option(min=1, help="Most tokens a minute, asked and answered.")]
Concurrent = Annotated[int, typer.Option(min=1, help="Calls under way at once.")]
CallSeconds = Annotated[float, typer.Option(min=0.1, help="Time for one answer before it is asked for again.")]
Answers = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Where answers are kept; absent: $SEALLM_ANSWERS or ~/.cache/seallm.")
]
MaxNewTokens = Annotated[int, typer.Option(min=1, help="Longest answer.")]
Batch = Annotated[int, typer.Option(min=1, help="Answers computed at once, where the teacher is a folder.")]
Seed = Annotated[int, typer.Option(help="Same seed, same questions.")]
Languages = Annotated[str | None, typer.Option(metavar="CODES", help="As th,lo; absent: all that are there.")]
Licence = Annotated[str, typer.Option(metavar="NAME", help="Licence of what is made.")]


@make_app.command(
    epilog="Example: seallm chat-data translate en.jsonl --to th,lo --teacher http://gpu:8000/v1 --out th_lo.jsonl"
)
def translate(
    files: Files,
    to: Annotated[str, typer.Option(metavar="CODES", help="Languages to translate into, as th,lo.")],
    teacher: Place,
    out: Out,
    least_chrf: Annotated[float, typer.Option(min=0, max=100, help="Least chrF of the translation back.")] = 50.0,
    draws: Annotated[int, typer.Option(min=1, help="How often a turn that fails a check is tried.")] = 2,
    free_names: Annotated[bool, typer.Option("--free-names", help="Names may be written in another script.")] = False,
    no_back: Annotated[bool, typer.Option("--no-back", help="Do not translate back: half the cost, no chrF.")] = False,
    key: Key = DEFAULT_KEY,
    dry_run: DryRun = False,
    price: PriceText = "0/0",
    most_cost: MostCost = None,
    rate: Rate = None,
    token_rate: TokenRate = None,
    concurrent: Concurrent = 16,
    call_seconds: CallSeconds = 300.0,
    answers: Answers = None,
    max_new_tokens: MaxNewTokens = 2048,
    batch: Batch = 16,
) -> None:
    """Translate English conversations, keep code and names, and check each turn by translating it back."""
    from seallm.chat_data import translate as translating

    settings = translating.TranslationSettings(least_chrf, not free_names, draws, not no_back)
    conversations, codes = _read(files), _codes(to)
    if translating.ENGLISH in codes:
        raise RecipeError("--to has en, but it is English that is translated; name other languages")
    pace = (rate, token_rate, concurrent, call_seconds)
    asked = _teacher(teacher, key, price, pace, answers, max_new_tokens, batch, 0.0, 0, dry_run)
    _finish(out, asked, most_cost, lambda: translating.translate(conversations, codes, asked, settings))


@make_app.command(
    "self-instruct",
    epilog="Example: seallm chat-data self-instruct seeds.lo.jsonl --count 500 --teacher runs/my --out more.jsonl",
)
def write_more(
    files: Files,
    count: Annotated[int, typer.Option(min=1, help="Conversations wanted of each language.")],
    teacher: Place,
    out: Out,
    languages: Languages = None,
    unlike: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="Further conversations that nothing new may resemble.")
    ] = None,
    most_similar: Annotated[float, typer.Option(min=0, max=1, help="Greatest ROUGE-L to anything before.")] = 0.7,
    licence: Licence = "",
    seed: Seed = 0,
    temperature: Annotated[float, typer.Option(min=0, help="Of the answers.")] = 0.7,
    key: Key = DEFAULT_KEY,
    dry_run: DryRun = False,
    price: PriceText = "0/0",
    most_cost: MostCost = None,
    rate: Rate = None,
    token_rate: TokenRate = None,
    concurrent: Concurrent = 16,
    call_seconds: CallSeconds = 300.0,
    answers: Answers = None,
    max_new_tokens: MaxNewTokens = 1024,
    batch: Batch = 16,
) -> None:
    """Let the teacher write new instructions like the seeds, in their language, and answer what is really new."""
    from seallm.chat_data.self_instruct import SelfInstructSettings, first_turn, self_instruct

    wanted = _codes(languages) if languages else None
    seeds = [each for each in _read(files) if wanted is None or each.language in wanted]
    if not seeds:
        raise RecipeError(f"{', '.join(map(str, files))} have no conversation in {languages}")
    others = [first_turn(each) for each in _read(unlike)] if unlike else []
    settings = SelfInstructSettings(count, most_similar, seed, licence)
    pace = (rate, token_rate, concurrent, call_seconds)
    asked = _teacher(teacher, key, price, pace, answers, max_new_tokens, batch, temperature, seed, dry_run)
    _finish(out, asked, most_cost, lambda: self_instruct(seeds, others, asked, settings))


@make_app.command(
    epilog="Example: seallm chat-data paraphrase th.jsonl --copies 2 --teacher http://gpu:8000/v1 --out more.jsonl"
)
def paraphrase(
    files: Files,
    teacher: Place,
    out: Out,
    copies: Annotated[int, typer.Option(min=1, help="Paraphrases wanted of each.")] = 1,
    most_similar: Annotated[float, typer.Option(min=0, max=1, help="Greatest ROUGE-L to the original.")] = 0.8,
    seed: Seed = 0,
    key: Key = DEFAULT_KEY,
    dry_run: DryRun = False,
    price: PriceText = "0/0",
    most_cost: MostCost = None,
    rate: Rate = None,
    token_rate: TokenRate = None,
    concurrent: Concurrent = 16,
    call_seconds: CallSeconds = 300.0,
    answers: Answers = None,
    max_new_tokens: MaxNewTokens = 1024,
    batch: Batch = 16,
) -> None:
    """Ask each first question in other words; the teacher says whether both ask the same."""
    from seallm.chat_data import refine as refining

    conversations = _read(files)
    pace = (rate, token_rate, concurrent, call_seconds)
    asked = _teacher(teacher, key, price, pace, answers, max_new_tokens, batch, 0.0, seed, dry_run)
    _finish(
        out,
        asked,
        most_cost,
        lambda: refining.paraphrase(conversations, asked, copies=copies, most_similar=most_similar),
    )


@make_app.command(
    epilog="Example: seallm chat-data refine th.jsonl --teacher http://gpu:8000/v1#big --out better.jsonl"
)
def refine(
    files: Files,
    teacher: Place,
    out: Out,
    key: Key = DEFAULT_KEY,
    dry_run: DryRun = False,
    price: PriceText = "0/0",
    most_cost: MostCost = None,
    rate: Rate = None,
    token_rate: TokenRate = None,
    concurrent: Concurrent = 16,
    call_seconds: CallSeconds = 300.0,
    answers: Answers = None,
    max_new_tokens: MaxNewTokens = 1024,
    batch: Batch = 16,
) -> None:
    """Let the teacher criticise each last answer and rewrite it; what it finds good stays."""
    from seallm.chat_data import refine as refining

    conversations = _read(files)
    pace = (rate, token_rate, concurrent, call_seconds)
    asked = _teacher(teacher, key, price, pace, answers, max_new_tokens, batch, 0.0, 0, dry_run)
    _finish(out, asked, most_cost, lambda: refining.refine(conversations, asked))


@make_app.command(
    "from-templates",
    epilog="Example: seallm chat-data from-templates dictionary words.tsv --licence CC-BY-4.0 --out tasks.jsonl",
)
def from_templates(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="translation, summary, comprehension or dictionary.")],
    place: Annotated[
        Path, typer.Argument(metavar="PLACE", help="JSONL, .tsv with a heading, or a folder of NAME.CODE.txt.")
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="JSONL file to write.")],
    languages: Annotated[str | None, typer.Option(metavar="CODES", help="Who asks, as th,lo; absent: all.")] = None,
    language: Annotated[str, typer.Option(metavar="CODE", help="Language of rows that name none.")] = "",
    source: Annotated[str, typer.Option(metavar="NAME", help="Where the rows come from.")] = "",
    licence: Licence = "",
    seed: Annotated[int, typer.Option(help="Of phrasings and directions.")] = 0,
) -> None:
    """Turn parallel text, dictionaries, summaries or question sets into tasks, asked in several native phrasings."""
    from typing import get_args

    from seallm.base.files import write_json_lines
    from seallm.chat_data.made import made_rows
    from seallm.chat_data.task_templates import Kind, TemplateSettings, from_rows, phrased_languages, read_rows

    known = next((each for each in get_args(Kind) if each == kind), None)
    if known is None:
        raise RecipeError(f"Unknown kind {kind!r}; expected one of {', '.join(get_args(Kind))}")
    asking = tuple(_codes(languages)) if languages else phrased_languages()
    settings = TemplateSettings(asking, language, source or place.name.split(".")[0], licence, seed)
    made = list(from_rows(known, read_rows(place), settings))
    if not made:
        raise DataError(f"{place} has no row for {kind} that a speaker of {', '.join(asking)} could ask for")
    write_json_lines(out, made_rows(made))
    typer.echo(f"{len(made):,} conversations written to {out}")


def _read(files: list[Path]) -> "list[Conversation]":
    """Conversations of the files; bad rows are told, and are not in what comes out."""
    from seallm.chat_data.made import read_inputs

    found, bad = read_inputs(files)
    if bad:
        typer.echo(f"warning: {len(bad):,} rows cannot be read and are left out, the first: {bad[0]}", err=True)
    return found


def _codes(text: str) -> list[str]:
    """Codes of known languages."""
    from seallm.languages import load_language

    return [load_language(code).code for code in text.replace(",", " ").split()]


def _teacher(
    place: str,
    key: str,
    price: str,
    pace: tuple[float | None, float | None, int, float],
    answers: Path | None,
    max_new_tokens: int,
    batch: int,
    temperature: float,
    seed: int,
    is_rehearsal: bool,
) -> "Teacher":
    from seallm.base.runtime import Runtime, available_cores
    from seallm.base.sampling import SamplingSettings
    from seallm.chat_data.teaching import Teacher
    from seallm.endpoints.address import read_api_key
    from seallm.endpoints.answer_cache import default_folder
    from seallm.endpoints.metering import parse_price
    from seallm.endpoints.settings import EndpointSettings
    from seallm.model.chat_models import ChatModelSettings, open_chat_model

    rate, token_rate, concurrent, call_seconds = pace
    endpoint = EndpointSettings(
        concurrent_calls=concurrent,
        requests_per_minute=rate,
        tokens_per_minute=token_rate,
        call_seconds=call_seconds,
        price=parse_price(price),
    )
    runtime = Runtime(1, available_cores(), "auto", "auto")
    kept = answers or default_folder()
    model = open_chat_model(place, ChatModelSettings(runtime, batch, endpoint, read_api_key(key), kept))
    return Teacher(model, SamplingSettings(max_new_tokens, temperature, seed=seed), is_rehearsal, runtime)


def _finish(out: Path, teacher: "Teacher", most_cost: float | None, make: Callable[[], "Outcome"]) -> None:
    """Make, write and tell; a rehearsal writes nothing.

    Raises:
        EndpointError: it would cost too much, or the teacher cannot be asked.
        RecipeError: there is a limit of cost and no price.
    """
    from rich.console import Console

    from seallm.base.artifacts import locked
    from seallm.chat_data.made import write_cost, write_outcome
    from seallm.chat_data.make_tables import cost_table, outcome_table
    from seallm.endpoints.metering import Price

    console = Console()
    if most_cost is not None and teacher.model.meter.price == Price():
        raise RecipeError("--most-cost needs --price, as 0.15/0.60: without it everything seems to cost nothing")
    if most_cost is not None and not teacher.is_rehearsal:
        cost = _guessed_cost(teacher, make)
        if cost > most_cost:
            raise EndpointError(f"It would cost about {cost:.4f}, and --most-cost is {most_cost}. Nothing was asked")
    if teacher.is_rehearsal:
        make()
        console.print(cost_table(teacher.meter, is_guess=True))
        typer.echo("Nothing was asked. What fails a check and is tried again costs more.")
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    with locked(out.parent, f".{out.name}.lock"):
        outcome = make()
        write_outcome(out, outcome)
        write_cost(out, outcome, teacher.meter)
    console.print(outcome_table(outcome))
    console.print(cost_table(teacher.meter, is_guess=False))
    typer.echo(f"{len(outcome.made):,} conversations written to {out}; see what was dropped beside it")


def _guessed_cost(teacher: "Teacher", make: Callable[[], "Outcome"]) -> float:
    teacher.is_rehearsal = True
    make()
    teacher.is_rehearsal = False
    return teacher.guesses.total.cost(teacher.guesses.price)
