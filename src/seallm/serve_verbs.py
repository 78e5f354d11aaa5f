"""The verbs `seallm chat MODEL` and `seallm serve MODEL`: options in, a conversation or a running server out."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from seallm.base.errors import DataError

if TYPE_CHECKING:
    from seallm.serve.comparing import Judgement

app = typer.Typer(add_completion=False, rich_markup_mode=None)
ModelPlace = Annotated[Path, typer.Argument(metavar="MODEL", help="A run, a stage of a run, or a Hugging Face folder")]
EngineKind = Annotated[
    Literal["own", "vllm", "llama.cpp"], typer.Option(help="What computes; the last two are extras.")
]
Device = Annotated[Literal["cpu", "cuda"] | None, typer.Option(help="Absent: a GPU where there is one.")]
NumberType = Annotated[
    Literal["float32", "bfloat16"] | None, typer.Option(help="Absent: float32 on a CPU, bfloat16 on a GPU.")
]
KeyFile = Annotated[
    Path | None, typer.Option(metavar="FILE", help="The key is this file's first line; it shows nowhere.")
]
CacheGib = Annotated[
    float | None, typer.Option(min=0, help="Memory for their keys and values; absent: 2, or 40 % of the GPU's.")
]
PrefixGib = Annotated[
    float | None,
    typer.Option(min=0, help="Memory for those of earlier turns and prompts; absent: 1, or 20 % of the GPU's."),
]
BesideModel = Annotated[
    Path | None, typer.Option(metavar="MODEL", help="A second model: the page then compares both, blind.")
]
Judgements = Annotated[
    Path, typer.Option(metavar="FOLDER", help="Review folder that judgements of both go to; see `seallm review`.")
]


@app.command(epilog="Example: seallm serve runs/quickstart --port 8000")
def serve(
    model: ModelPlace,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = 8000,
    api_key: Annotated[str | None, typer.Option(envvar="SEALLM_API_KEY", help="Clients must send it.")] = None,
    api_key_file: KeyFile = None,
    engine: EngineKind = "own",
    device: Device = None,
    dtype: NumberType = None,
    max_rows: Annotated[
        int | None, typer.Option(min=1, help="Answers made at once; absent: 16 on a CPU, 64 on a GPU.")
    ] = None,
    cache_gib: CacheGib = None,
    prefix_gib: PrefixGib = None,
    queue: Annotated[int, typer.Option(min=0, help="Requests that may wait; more are told to come back.")] = 64,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds for a request, waiting included.")] = 300,
    max_prompt_tokens: Annotated[
        int | None, typer.Option(min=1, help="Longest prompt; absent: what the model has positions for.")
    ] = None,
    base: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Base model whose tokens are counted beside; absent: the run's.")
    ] = None,
    policy: Annotated[str | None, typer.Option(metavar="NAME", help="Policy pack whose system prompt is used.")] = None,
    allow_system: Annotated[
        bool, typer.Option("--allow-system", help="A client's system prompt replaces the policy's; else it is added.")
    ] = False,
    log_prompts: Annotated[bool, typer.Option("--log-prompts", help="Write prompts to the log.")] = False,
    beside: BesideModel = None,
    judgements: Judgements = Path("comparisons"),
) -> None:
    """Serve an OpenAI-shaped API and a chat page."""
    if allow_system and policy is None:
        raise typer.BadParameter("--allow-system goes with --policy; without a policy clients choose their prompt")
    from seallm.serve import http
    from seallm.serve.loading import EngineSettings
    from seallm.serve.system_prompt import served_policy

    how = EngineSettings(engine, device, dtype, max_rows, cache_gib, prefix_gib, queue)
    settings = http.ServerSettings(
        request_seconds=timeout,
        max_prompt_tokens=max_prompt_tokens,
        logs_prompts=log_prompts,
        policy=None if policy is None else served_policy(policy, allow_system=allow_system),
    )
    address = http.Address(host, port, _key(api_key, api_key_file))
    second = None if beside is None else http.Beside(beside, review_keeper(judgements))
    http.serve(model, address, settings, how, base, second, language_finder())


@app.command(epilog="Example: seallm chat runs/quickstart")
def chat(
    model: ModelPlace,
    system: Annotated[str, typer.Option(help="System prompt.")] = "",
    policy: Annotated[
        str | None, typer.Option(metavar="NAME", help="Policy pack whose prompt stands before it.")
    ] = None,
    temperature: Annotated[float, typer.Option(min=0.0, help="0 always takes the likeliest token.")] = 0.7,
    top_p: Annotated[float, typer.Option(min=0.0, max=1.0, help="Keep tokens that together have this share.")] = 0.95,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Longest answer.")] = 256,
    seed: Annotated[int | None, typer.Option(help="Makes answers repeatable.")] = None,
    history: Annotated[bool, typer.Option(help="Keep typed lines for the next chat.")] = True,
    engine: EngineKind = "own",
    device: Device = None,
    dtype: NumberType = None,
) -> None:
    """Chat in the terminal."""
    from seallm.base.sampling import SamplingSettings
    from seallm.serve import terminal

    sampling = SamplingSettings(max_new_tokens, temperature, top_p)
    settings = terminal.ChatSettings(sampling, seed, system, policy, history, engine, device, dtype)
    terminal.chat(model, settings, language_finder())


def language_finder() -> Callable[[str], str | None]:
    """A text to the code of its language, or None; the identifier is read when it is first asked."""
    from seallm.answer_language import AnswerLanguage

    lock = threading.Lock()
    made: list[AnswerLanguage] = []

    def find(text: str) -> str | None:
        with lock:
            if not made:
                made.append(AnswerLanguage())
        return made[0]([text], [""])[0]

    return find


def review_keeper(folder: Path) -> Callable[["Judgement"], None]:
    """What puts judgements into the review database of a folder."""
    from seallm.base.records import Message
    from seallm.languages import known_languages
    from seallm.policies.language_choice import choose_language
    from seallm.review.items import Answer, Comparison
    from seallm.review.recording import Choice, add_comparison

    def keep(judgement: "Judgement") -> None:
        pair = judgement.pair
        asked = next(message.content for message in pair.messages if message.role == "user")
        first, second = (
            Answer(name, (Message("assistant", text),)) for name, text in zip(pair.models, pair.texts, strict=True)
        )
        language = choose_language(asked, known_languages())
        comparison = Comparison(pair.messages, (first, second), language, category="chat")
        choices: dict[str, Choice] = {"left": "first", "right": "second", "tie": "tie", "both_bad": "both_bad"}
        add_comparison(folder, comparison, annotator=judgement.annotator, choice=choices[judgement.verdict], left=0)

    return keep


def _key(given: str | None, file: Path | None) -> str | None:
    if file is None:
        return given
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"--api-key-file {file} cannot be read ({type(error).__name__})") from None
    if not lines or not lines[0].strip():
        raise DataError(f"--api-key-file {file} has no key; expected one on its first line")
    return lines[0].strip()
