"""The verb `seallm judge ...`: an arena of your own, with a model, an endpoint or people as the judge."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from seallm.many_values import ManyValues

if TYPE_CHECKING:
    from rich.console import Console

    from seallm.evaluate.judge import Contest, Contestant, JudgeSettings
    from seallm.evaluate.judge_questions import Question
    from seallm.evaluate.judge_verdicts import Judge
    from seallm.model.chat_models import ChatModelSettings

judge_app = typer.Typer(add_completion=False, rich_markup_mode=None)

PEOPLE = "people"
ANSWER_FILES = (".json", ".jsonl")


Models = Annotated[
    list[str],
    typer.Argument(metavar="MODEL ...", help="Runs, Hugging Face folders, hub ids, endpoints, files of answers."),
]
Place = Annotated[
    str,
    typer.Option("--judge", metavar="PLACE", help="A model's folder, an endpoint, `people`, or `people:EXPORT.jsonl`."),
]
Out = Annotated[Path, typer.Option(metavar="DIR", help="Folder of the report; what is done in it is kept.")]
Questions = Annotated[str, typer.Option(metavar="SET", help="`starter`, or a file of questions.")]
HowToJudge = Annotated[Literal["score", "pairwise"], typer.Option(help="Score 0 to 10, or which of two.")]
Codes = Annotated[list[str] | None, typer.Option(metavar="CODE ...", help="Of these languages alone.")]
Categories = Annotated[list[str] | None, typer.Option(metavar="NAME ...", help="Of these categories alone.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Questions of each language and category; absent: all.")]
Code = Annotated[str | None, typer.Option(metavar="CODE", help="Language of questions whose file names none.")]
References = Annotated[Path | None, typer.Option(metavar="FILE", help="Right answers in MT-bench's layout.")]
Gold = Annotated[Path | None, typer.Option(metavar="FILE", help="Verdicts of people to compare the judge with.")]
Against = Annotated[str | None, typer.Option(metavar="NAME", help="Compare all with this model; absent: all pairs.")]
Repeats = Annotated[int, typer.Option(min=1, help="How often a judge that writes is asked the same.")]
Temperature = Annotated[float, typer.Option(min=0.0, help="Of a judge that writes.")]
Prose = Annotated[bool | None, typer.Option("--prose/--no-prose", help="It says why first; absent: endpoints do.")]
AnyLanguage = Annotated[bool, typer.Option("--any-language", help="Answers may be in other languages.")]
Longest = Annotated[int, typer.Option(min=1, help="Longest answer of a model.")]
Batch = Annotated[int, typer.Option(min=1, help="Answers computed at once here.")]
PriceText = Annotated[str | None, typer.Option("--price", metavar="IN/OUT", help="Of a million tokens: 0.15/0.60.")]
Key = Annotated[str | None, typer.Option(metavar="SOURCE", help="Of endpoints: env:NAME or file:PATH.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what it would cost at most, and stop.")]


@judge_app.command(
    cls=ManyValues,
    epilog="Example: seallm judge runs/mine models/Qwen --judge http://gpu-7:8000/v1#judge --mode pairwise --out arena",
)
def judge(
    models: Models,
    judge_place: Place,
    out: Out,
    questions: Questions = "starter",
    mode: HowToJudge = "score",
    languages: Codes = None,
    categories: Categories = None,
    limit: Limit = None,
    language: Code = None,
    references: References = None,
    gold: Gold = None,
    against: Against = None,
    repeats: Repeats = 1,
    temperature: Temperature = 0.0,
    prose: Prose = None,
    any_language: AnyLanguage = False,
    max_answer_tokens: Longest = 512,
    batch_sequences: Batch = 16,
    price: PriceText = None,
    key: Key = None,
    dry_run: DryRun = False,
) -> None:
    """Let models answer open questions, and have the answers judged: every figure with n and a 95 % interval."""
    from rich.console import Console

    from seallm.evaluate.judge import Contest, JudgeSettings, check_contestants
    from seallm.evaluate.judge_questions import read_questions

    asked = read_questions(
        questions, language=language, references=references, languages=languages, categories=categories, limit=limit
    )
    by_people = judge_place.split(":")[0] == PEOPLE
    rules = {"check_language": not any_language, "both_orders": not by_people}
    settings = JudgeSettings("pairwise" if by_people else mode, repeats, against, max_answer_tokens, **rules)
    opening = _opening(out, batch_sequences, price, key)
    contestants = open_contestants(models, opening)
    check_contestants(list(contestants), settings)
    console = Console()
    if dry_run:
        _show_estimate(contestants, asked, settings, judge_place, prose, opening.endpoint.price, console)
    elif judge_place == PEOPLE:
        _write_pairs(contestants, asked, settings, out.resolve(), console)
    else:
        chosen, settings = open_judge(judge_place, settings, opening, prose=prose, temperature=temperature)
        about: dict[str, object] = {"models": models, "judge": judge_place, "questions": questions, "prose": prose}
        about |= {"temperature": temperature, "languages": languages, "categories": categories, "limit": limit}
        _run(Contest(contestants, chosen, asked, settings, _identifier(), gold, about), out, console)


def _opening(out: Path, batch_sequences: int, price: str | None, key: str | None) -> "ChatModelSettings":
    from seallm.base.runtime import Runtime
    from seallm.endpoints.address import KEY_VARIABLE, read_api_key
    from seallm.endpoints.metering import Price, parse_price
    from seallm.endpoints.settings import EndpointSettings
    from seallm.model.chat_models import ChatModelSettings

    return ChatModelSettings(
        runtime=Runtime(),
        batch_sequences=batch_sequences,
        endpoint=EndpointSettings(price=parse_price(price) if price else Price()),
        key=read_api_key(key or f"env:{KEY_VARIABLE}"),
        answers=out.resolve() / "kept",
    )


def open_contestants(places: Sequence[str], opening: "ChatModelSettings") -> "dict[str, Contestant]":
    """Models and files of answers, each under a name of its own.

    Raises:
        ModelError: there is no model.
        DataError: there is no such file.
    """
    from seallm.base.errors import DataError
    from seallm.model.chat_models import open_chat_model

    found: dict[str, Contestant] = {}
    for place in places:
        path = Path(place).expanduser()
        contestant: Contestant
        if path.suffix in ANSWER_FILES:
            if not path.is_file():
                raise DataError(f"{place} does not exist; expected a file of answers")
            contestant, name = path, path.stem
        else:
            contestant = open_chat_model(_at_hand(place), opening)
            name = contestant.name
        taken = sum(other.split("#")[0] == name for other in found)
        found[f"{name}#{taken + 1}" if taken else name] = contestant
    return found


def _at_hand(place: str) -> str:
    """The place, or where a model of the hub was downloaded to."""
    from seallm.base.hub import is_hub_id
    from seallm.evaluate_verbs import from_hub

    return str(from_hub(place)) if not Path(place).expanduser().exists() and is_hub_id(place) else place


def open_judge(
    place: str, settings: "JudgeSettings", opening: "ChatModelSettings", *, prose: bool | None, temperature: float
) -> "tuple[Judge, JudgeSettings]":
    """The judge, and the settings as it needs them.

    Raises:
        DataError: an export of people's judgements is malformed; or likelihoods are asked to repeat themselves.
        EndpointError, ModelError: there is no such judge.
    """
    from dataclasses import replace

    from seallm.base.errors import DataError
    from seallm.endpoints.address import is_address
    from seallm.evaluate.judge_people import People
    from seallm.evaluate.judge_verdicts import LikelihoodJudge, WritingJudge
    from seallm.model.chat_models import open_chat_model

    if place.startswith(f"{PEOPLE}:"):
        people = People(Path(place.removeprefix(f"{PEOPLE}:")).expanduser())
        return people, replace(settings, repeats=people.repeats)
    model = open_chat_model(_at_hand(place), opening)
    if not is_address(place) and not prose:
        from seallm.model.folder_chat_model import FolderChatModel

        if settings.repeats > 1 or temperature > 0:
            raise DataError(
                "The likelihoods of a judge in a folder are the same each time: leave out --repeats and --temperature, "
                "or let it write with --prose"
            )
        assert isinstance(model, FolderChatModel)
        assert opening.answers is not None
        return LikelihoodJudge(model, settings.mode, opening.answers), settings
    if settings.repeats > 1 and temperature == 0:
        raise DataError("A judge that takes its likeliest words repeats itself; give --temperature with --repeats")
    return WritingJudge(model, settings.mode, prose=prose is not False, temperature=temperature), settings


def _identifier() -> Any:
    from seallm.answer_language import AnswerLanguage

    return AnswerLanguage()


def _run(contest: "Contest", out: Path, console: "Console") -> None:
    from seallm.base.runtime import Runtime
    from seallm.evaluate.judge import judge_models

    report = judge_models(contest, out.resolve(), Runtime())
    _show(report, console)
    console.print(f"Written to {out / 'report.html'} and {out / 'report.json'}", highlight=False, soft_wrap=True)


def _show(report: dict[str, Any], console: "Console") -> None:
    from rich.table import Table

    is_score = report["settings"]["mode"] == "score"
    table = Table()
    for number, name in enumerate(["model", "score" if is_score else "won", "95 % interval", "questions"]):
        table.add_column(name, justify="left" if number == 0 else "right")
    scale, digits = (1.0, 2) if is_score else (100.0, 1)
    for row in report["scores" if is_score else "wins"]:
        if (row["language"], row["category"]) == ("all", "all"):
            value, low, high = (f"{scale * row[name]:.{digits}f}" for name in ("value", "low", "high"))
            table.add_row(row["model"], value, f"{low} to {high}", str(row["n"]))
    console.print(table)
    orders = report["agreement"]["orders"] or {}
    if orders.get("consistency"):
        found = orders["consistency"]
        console.print(f"The judge said the same in both orders in {100 * found['value']:.0f} % (n = {found['n']}).")
    if report["decided"]["no verdict"]:
        console.print(f"{report['decided']['no verdict']:,} cases have no verdict that could be read.")


def _write_pairs(
    contestants: "dict[str, Contestant]",
    questions: "Sequence[Question]",
    settings: "JudgeSettings",
    out: Path,
    console: "Console",
) -> None:
    from seallm.base.runtime import Runtime
    from seallm.evaluate.judge import collect_answers
    from seallm.evaluate.judge_cases import make_cases, wrong_languages
    from seallm.evaluate.judge_people import write_pairs

    answers = collect_answers(contestants, questions, settings, out, Runtime())
    wrong = wrong_languages(questions, answers, _identifier()) if settings.check_language else set()
    cases = make_cases(
        settings.mode, questions, answers, wrong, against=settings.against, both_orders=settings.both_orders
    )
    written = write_pairs(out / "people", cases)
    console.print(
        f"{written:,} pairs for people in {out / 'people'}. Open them: seallm review {out / 'people'}; export, and "
        "give the same command with --judge people:JUDGEMENTS.jsonl",
        highlight=False,
        soft_wrap=True,
    )


def _show_estimate(
    contestants: "dict[str, Contestant]",
    questions: "Sequence[Question]",
    settings: "JudgeSettings",
    judge_place: str,
    prose: bool | None,
    price: Any,
    console: "Console",
) -> None:
    from rich.table import Table

    from seallm.endpoints.address import is_address
    from seallm.evaluate.judge_estimate import estimate
    from seallm.evaluate.judge_verdicts import BARE_TOKENS, PROSE_TOKENS

    writes = is_address(judge_place) or bool(prose)
    tokens = (BARE_TOKENS if prose is False else PROSE_TOKENS) if writes else 0
    rows = estimate(contestants, questions, settings, judge_writes=tokens, price=price)
    table = Table(title="at most, tokens guessed", title_justify="left")
    for name in ("language", "answers", "their tokens", "verdicts", "their tokens", "cost of verdicts"):
        table.add_column(name, justify="left" if name == "language" else "right")
    for row in rows:
        counts = [f"{row[name]:,}" for name in ("answers", "answer_tokens", "verdicts", "judge_tokens")]
        table.add_row(row["language"], *counts, f"{row['cost']:.2f}")
    console.print(table)
