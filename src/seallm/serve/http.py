"""An OpenAI-shaped HTTP API and the chat page, around one engine.

POST /v1/chat/completions   answers, streaming or not
POST /v1/completions        text that is continued, with log-probabilities of the prompt on wish
POST /v1/tokenize           what a text costs, here and in the base's tokenizer
GET  /v1/models             the one model that is served
GET  /health                for whoever watches the process
GET  /metrics               what was done, for Prometheus
GET  /                      the chat page
     /page/...              what the page asks for besides
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from fastapi import FastAPI
from rich.console import Console
from rich.markup import escape

from seallm import __version__
from seallm.model.places import find_model
from seallm.serve.api import ServerSettings as ServerSettings
from seallm.serve.api import add_completions, add_status, add_tokenize
from seallm.serve.comparing import Comparing, Judgement, JudgeRequest
from seallm.serve.engine import Engine, logger
from seallm.serve.loading import EngineSettings, load_engine
from seallm.serve.metrics import Metrics
from seallm.serve.page_api import BATCHES_PATH, BatchRequest, LanguageRequest, PageParts, add_page_parts
from seallm.serve.schema import REQUEST_FIELDS
from seallm.serve.token_counts import base_tokenizer
from seallm.web.guard import SECURITY_HEADERS, Guard, GuardSettings
from seallm.web.listening import address_of, allowed_hosts, listen, run_app
from seallm.web.page_files import add_page
from seallm.web.refusals import add_refusals

PAGE_FIELDS = frozenset(name for shape in (BatchRequest, JudgeRequest, LanguageRequest) for name in shape.model_fields)
GRACE_SECONDS = 20  # that streams may take to end once the server is asked to stop


def make_app(engine: Engine, settings: ServerSettings, parts: PageParts | None = None) -> FastAPI:
    """The application: routes over `engine`, behind the guard."""
    parts = parts or PageParts()
    guard = replace(settings.guard, path_bytes={BATCHES_PATH: parts.max_batch_bytes})
    app = FastAPI(title="seallm", version=__version__, docs_url=None, redoc_url=None)
    metrics = Metrics(engine)
    app.add_middleware(Guard, settings=guard, replied=metrics.replied)
    add_refusals(app, REQUEST_FIELDS | PAGE_FIELDS, SECURITY_HEADERS)
    add_page(app, "seallm.serve")
    add_status(app, engine, metrics)
    add_completions(app, engine, settings, metrics)
    add_tokenize(app, engine, settings)
    add_page_parts(app, engine, settings, parts, metrics)
    return app


@dataclass(frozen=True)
class Address:
    """Where to listen, and who may ask.

    Attributes:
        host: on a loopback address only requests to a loopback name are answered.
        port: 0 takes a free one.
        api_key: clients of the API must send it; empty or None lets everybody in.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    api_key: str | None = None


@dataclass(frozen=True)
class Beside:
    """A second model, for blind comparisons on the page.

    Attributes:
        model: a run, a stage of a run, or a Hugging Face folder.
        keep: takes what people say of two answers to where it is kept.
    """

    model: Path
    keep: Callable[[Judgement], None]


def serve(
    model: Path,
    address: Address,
    settings: ServerSettings | None = None,
    how: EngineSettings | None = None,
    base: Path | None = None,
    beside: Beside | None = None,
    identify: Callable[[str], str | None] | None = None,
) -> None:
    """Serve a model until Ctrl-C or a signal to end; streams under way may end first.

    Args:
        model: a run, a stage of a run, or a Hugging Face folder.
        address: where to listen; its key takes the place of the settings' guard.
        settings: how clients are treated.
        how: what computes.
        base: folder of the base model's tokenizer, where it is not that of the run.
        beside: a second model, run in the same way.
        identify: a text to the code of its language, for the page.

    Raises:
        ModelError: there is no model to serve.
        DataError: both models have one name.
        MissingExtra: what computes is not installed.
        WorkspaceError: the address is in use or is not this machine's.
    """
    host, hosts = address.host, allowed_hosts(address.host)
    console = Console(highlight=False, soft_wrap=True)
    with ExitStack() as stack:
        listening = stack.enter_context(listen(host, address.port))
        base_tokens = base_tokenizer(find_model(model), base)  # before the weights: a wrong path is told sooner
        engine = stack.enter_context(closing(load_engine(model, how)))
        comparing = None
        if beside is not None:
            other = stack.enter_context(closing(load_engine(beside.model, how)))
            comparing = Comparing((engine, other), beside.keep)
        stack.enter_context(_log_to_stderr())
        _announce(console, address_of(host, listening), engine, comparing)
        if hosts is None and not address.api_key:
            open_to = f"everybody who can reach {host} can use this model; --api-key asks for a key"
            console.print(f"[yellow]warning:[/] {open_to}")
        chosen = replace(
            settings or ServerSettings(),
            guard=GuardSettings(address.api_key or None, hosts),
            base=base_tokens,
        )
        parts = PageParts(identify, comparing)
        stack.callback(parts.batches.stop)
        if not run_app(make_app(engine, chosen, parts), listening, GRACE_SECONDS):
            console.print("stopped")


def _announce(console: Console, url: str, engine: Engine, comparing: Comparing | None) -> None:
    for shown in comparing.engines if comparing else (engine,):
        console.print(f"[bold]{escape(shown.name)}[/]  [dim]{shown.max_sequence_tokens:,} positions[/]")
    console.print(f"  page  {url}\n  API   {url}/v1", markup=False)


@contextmanager
def _log_to_stderr() -> Iterator[None]:
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
