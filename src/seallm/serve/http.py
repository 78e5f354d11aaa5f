"""An OpenAI-shaped HTTP API and the chat page, around one engine.

POST /v1/chat/completions   answers, streaming or not
POST /v1/completions        text that is continued, with log-probabilities of the prompt on wish
POST /v1/tokenize           what a text costs, here and in the base's tokenizer
GET  /v1/models             the one model that is served
GET  /health                for whoever watches the process
GET  /metrics               what was done, for Prometheus
GET  /                      the chat page
"""

import logging
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from fastapi import FastAPI
from rich.console import Console
from rich.markup import escape

from seallm import __version__
from seallm.model.places import find_model
from seallm.serve.api import ServerSettings as ServerSettings
from seallm.serve.api import add_completions, add_status, add_tokenize
from seallm.serve.engine import Engine, logger
from seallm.serve.loading import EngineSettings, load_engine
from seallm.serve.metrics import Metrics
from seallm.serve.schema import REQUEST_FIELDS
from seallm.serve.token_counts import base_tokenizer
from seallm.web.guard import SECURITY_HEADERS, Guard, GuardSettings
from seallm.web.listening import address_of, allowed_hosts, listen, run_app
from seallm.web.page_files import add_page
from seallm.web.refusals import add_refusals

GRACE_SECONDS = 20  # that streams may take to end once the server is asked to stop


def make_app(engine: Engine, settings: ServerSettings) -> FastAPI:
    """The application: routes over `engine`, behind the guard."""
    app = FastAPI(title="seallm", version=__version__, docs_url=None, redoc_url=None)
    metrics = Metrics(engine)
    app.add_middleware(Guard, settings=settings.guard, replied=metrics.replied)
    add_refusals(app, REQUEST_FIELDS, SECURITY_HEADERS)
    add_page(app, "seallm.serve")
    add_status(app, engine, metrics)
    add_completions(app, engine, settings, metrics)
    add_tokenize(app, engine, settings)
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


def serve(
    model: Path,
    address: Address,
    settings: ServerSettings | None = None,
    how: EngineSettings | None = None,
    base: Path | None = None,
) -> None:
    """Serve a model until Ctrl-C or a signal to end; streams under way may end first.

    Args:
        model: a run, a stage of a run, or a Hugging Face folder.
        address: where to listen; its key takes the place of the settings' guard.
        settings: how clients are treated.
        how: what computes.
        base: folder of the base model's tokenizer, where it is not that of the run.

    Raises:
        ModelError: there is no model to serve.
        MissingExtra: what computes is not installed.
        WorkspaceError: the address is in use or is not this machine's.
    """
    host, hosts = address.host, allowed_hosts(address.host)
    console = Console(highlight=False, soft_wrap=True)
    with listen(host, address.port) as listening, closing(load_engine(model, how)) as engine, _log_to_stderr():
        url = address_of(host, listening)
        console.print(f"[bold]{escape(engine.name)}[/]  [dim]{engine.max_sequence_tokens:,} positions[/]")
        console.print(f"  page  {url}\n  API   {url}/v1", markup=False)
        if hosts is None and not address.api_key:
            open_to = f"everybody who can reach {host} can use this model; --api-key asks for a key"
            console.print(f"[yellow]warning:[/] {open_to}")
        chosen = replace(
            settings or ServerSettings(),
            guard=GuardSettings(address.api_key or None, hosts),
            base=base_tokenizer(find_model(model), base),
        )
        if not run_app(make_app(engine, chosen), listening, GRACE_SECONDS):
            console.print("stopped")


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
