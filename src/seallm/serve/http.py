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
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from http import HTTPStatus
from importlib import resources
from pathlib import Path

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from rich.console import Console
from rich.markup import escape
from starlette.exceptions import HTTPException

from seallm import __version__
from seallm.base.errors import WorkspaceError
from seallm.serve.api import ServerSettings as ServerSettings
from seallm.serve.api import add_completions, add_status, add_tokenize
from seallm.serve.engine import Engine, logger
from seallm.serve.guard import LOOPBACK_HOSTS, SECURITY_HEADERS, Guard, GuardSettings, error_response, is_loopback
from seallm.serve.loading import EngineSettings, load_engine
from seallm.serve.metrics import Metrics
from seallm.serve.places import find_model
from seallm.serve.replies import ErrorBody
from seallm.serve.schema import validation_detail
from seallm.serve.token_counts import base_tokenizer

PAGE_FILES = {
    "/": ("index.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
}
GRACE_SECONDS = 20  # that streams may take to end once the server is asked to stop


def make_app(engine: Engine, settings: ServerSettings) -> FastAPI:
    """The application: routes over `engine`, behind the guard."""
    app = FastAPI(title="seallm", version=__version__, docs_url=None, redoc_url=None)
    metrics = Metrics(engine)
    app.add_middleware(Guard, settings=settings.guard, replied=metrics.replied)
    _add_errors(app)
    _add_page(app)
    add_status(app, engine, metrics)
    add_completions(app, engine, settings, metrics)
    add_tokenize(app, engine, settings)
    return app


def _add_errors(app: FastAPI) -> None:
    codes = {404: "not_found", 405: "method_not_allowed"}

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        detail = validation_detail(error.errors())
        return JSONResponse(ErrorBody(error=detail).model_dump(), HTTPStatus.BAD_REQUEST)

    @app.exception_handler(HTTPException)
    async def refused(_: Request, error: HTTPException) -> JSONResponse:
        code = codes.get(error.status_code, "invalid_request")
        return error_response(error.status_code, error.detail, code, dict(error.headers or {}))

    @app.exception_handler(Exception)
    async def failed(_: Request, error: Exception) -> JSONResponse:
        # outside the guard, so its headers are set here; the server logs the traceback
        return error_response(500, "the server failed; its log says why", "internal_error", SECURITY_HEADERS)


def _add_page(app: FastAPI) -> None:
    folder = resources.files("seallm.serve") / "page"
    for path, (name, media_type) in PAGE_FILES.items():
        app.add_route(path, _file_route((folder / name).read_bytes(), media_type), include_in_schema=False)


def _file_route(content: bytes, media_type: str) -> Callable[[Request], Awaitable[Response]]:
    async def send_file(_: Request) -> Response:
        return Response(content, media_type=media_type, headers={"cache-control": "no-cache"})

    return send_file


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
    host = address.host
    place = f"[{host}]" if ":" in host else host
    hosts = LOOPBACK_HOSTS | {place} if is_loopback(host) else None
    console = Console(highlight=False, soft_wrap=True)
    with _listen(host, address.port) as listening, closing(load_engine(model, how)) as engine, _log_to_stderr():
        url = f"http://{place}:{listening.getsockname()[1]}"
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
        config = uvicorn.Config(
            make_app(engine, chosen),
            log_level="warning",
            access_log=False,
            ws="none",
            lifespan="off",
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
        try:
            uvicorn.Server(config).run(sockets=[listening])
        except KeyboardInterrupt:  # uvicorn has shut down in good order, and passes it on
            console.print("stopped")


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen()
    except OSError as error:
        raise WorkspaceError(
            f"Cannot listen on {host} port {port} ({error.strerror}). Give another --host or --port"
        ) from None
    return listening


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
