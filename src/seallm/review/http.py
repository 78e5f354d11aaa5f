"""The review page and what it asks for, around one database.

    GET  /                  the page
    GET  /api/door          whether tokens are asked for
    GET  /api/me            who the sender is, languages, reasons
    GET  /api/next          the next item (?language=th: of that language), and the progress
    POST /api/judgements    what the annotator says of an item; sent twice, it counts once
    POST /api/undo          takes the last judgement back, and gives its item

A sender says who it is in `Authorization: Basic`, name and token. Every refusal has the one shape of `seallm.web`. A
database that is in use answers 503 with Retry-After: nothing was saved, and the page sends it again.
"""

import base64
import binascii
import logging
import sqlite3
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from rich.console import Console
from rich.markup import escape

from seallm import __version__
from seallm.base.errors import DataError, RecipeError, WorkspaceError
from seallm.languages import load_language
from seallm.review.annotators import Annotator, NotAllowed, admit, is_invited_only
from seallm.review.database import Database, DatabaseBusy
from seallm.review.judging import REASONS, Shown, UnknownItem, next_item, progress, save, undo
from seallm.review.schema import FIELDS, Empty, Judgement
from seallm.review.store import fill, open_reviews
from seallm.web.guard import SECURITY_HEADERS, Guard, GuardSettings
from seallm.web.listening import address_of, allowed_hosts, listen, run_app
from seallm.web.page_files import add_page
from seallm.web.refusals import add_refusals, error_response

logger = logging.getLogger("seallm.review")
GRACE_SECONDS = 5
SHOWN_REFUSALS = 3


def make_app(database: Database, guard: GuardSettings) -> FastAPI:
    """The application: routes over `database`, behind the guard."""
    app = FastAPI(title="seallm review", version=__version__, docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(Guard, settings=guard)
    add_refusals(app, FIELDS, SECURITY_HEADERS)
    _add_own_refusals(app)
    add_page(app, "seallm.review")
    _add_looking(app, database)
    _add_judging(app, database)
    return app


def _add_own_refusals(app: FastAPI) -> None:
    for kind, status, code in (
        (NotAllowed, 401, "not_allowed"),
        (UnknownItem, 404, "unknown_item"),
        (DataError, 400, "invalid_value"),
    ):
        app.add_exception_handler(kind, _refusal(status, code))

    @app.exception_handler(WorkspaceError)
    async def unusable(_: Request, error: WorkspaceError) -> JSONResponse:
        logger.error("%s", error)  # paths of this machine are for the log
        is_busy = isinstance(error, DatabaseBusy)
        found = "is in use by another program" if is_busy else "cannot be used (the server's log says why)"
        code = "database_busy" if is_busy else "database_unusable"
        return error_response(503, f"the database {found}; nothing was saved. Try again", code, {"retry-after": "1"})


def _refusal(status: int, code: str) -> Callable[[Request, Exception], JSONResponse]:
    return lambda _, error: error_response(status, str(error), code)


def _sender(connection: sqlite3.Connection, request: Request) -> Annotator:
    scheme, _, sent = request.headers.get("authorization", "").partition(" ")
    try:
        name, _, token = base64.b64decode(sent.strip(), validate=True).decode("utf-8").partition(":")
    except (binascii.Error, ValueError):
        name = token = ""
    if scheme.lower() != "basic" or not name.strip():
        raise NotAllowed("say who you are: Authorization: Basic, then base64 of NAME:TOKEN")
    return admit(connection, name, token)


def _add_looking(app: FastAPI, database: Database) -> None:
    @app.get("/health")
    def health() -> dict[str, str]:
        return {"status": "ok", "version": __version__}

    @app.get("/api/door")
    def door() -> dict[str, bool]:
        with database.reading() as connection:
            return {"invited_only": is_invited_only(connection)}

    @app.get("/api/me")
    def me(request: Request) -> dict[str, Any]:
        with database.reading() as connection:
            annotator = _sender(connection, request)
            return {"name": annotator.name, "reasons": REASONS, "progress": _progress(connection, annotator)}


def _progress(connection: sqlite3.Connection, annotator: Annotator) -> dict[str, Any]:
    made = progress(connection, annotator)
    for row in made["languages"]:
        row["name"] = _language_name(row["language"])
    return made


def _language_name(code: str) -> str:
    try:
        language = load_language(code)
    except RecipeError:
        return code or "no language given"
    return (
        language.native_name if language.native_name == language.name else f"{language.native_name} ({language.name})"
    )


def _add_judging(app: FastAPI, database: Database) -> None:
    def with_progress(item: Shown | None, annotator: Annotator) -> dict[str, Any]:
        with database.reading() as connection:  # counting takes longest: not while others wait to write
            return {"item": asdict(item) if item else None, "progress": _progress(connection, annotator)}

    @app.get("/api/next")
    def following(request: Request, language: str | None = None) -> dict[str, Any]:
        with database.writing() as connection:
            annotator = _sender(connection, request)
            shown = next_item(connection, annotator, language)
        return with_progress(shown, annotator)

    @app.post("/api/judgements")
    def judge(request: Request, body: Judgement) -> dict[str, str]:
        with database.writing() as connection:
            save(connection, _sender(connection, request).name, body.to_verdict())
        return {"saved": body.item}

    @app.post("/api/undo")
    def take_back(request: Request, body: Empty) -> dict[str, Any]:
        with database.writing() as connection:
            annotator = _sender(connection, request)
            shown = undo(connection, annotator)
        return with_progress(shown, annotator)


def review(
    folder: Path,
    host: str,
    port: int,
    *,
    seed: int | None = None,
    overlap: float | None = None,
    raters: int | None = None,
) -> None:
    """Fill a folder's database and serve the page until Ctrl-C.

    Args:
        folder: holds *.jsonl files.
        host: address to listen on. On a loopback address only requests to a loopback name are answered.
        port: port to listen on; 0 takes a free one.
        seed: of order, sides and overlap; None: as it was, else 0.
        overlap: share of items that several annotators see; None: as it was, else 0.2.
        raters: annotators of such an item; None: as it was, else 2.

    Raises:
        DataError: there is nothing to review.
        WorkspaceError: the address or the database cannot be used.
    """
    console = Console(highlight=False, soft_wrap=True)
    with listen(host, port) as listening, ExitStack() as stack:
        filled = fill(folder, seed=seed, overlap=overlap, raters=raters)
        database = open_reviews(folder)
        stack.callback(database.close)
        console.print(f"[bold]{filled.total:,}[/] to review, {filled.added:,} of them new")
        for reason in filled.refused[:SHOWN_REFUSALS]:
            console.print(f"  [yellow]refused[/] {escape(reason)}")
        if len(filled.refused) > SHOWN_REFUSALS:
            console.print(f"  {len(filled.refused):,} rows refused in all: review/refused.jsonl")
        console.print(f"  page  {address_of(host, listening)}", markup=False)
        hosts = allowed_hosts(host)
        with database.reading() as connection:
            if hosts is None and not is_invited_only(connection):
                how = f"seallm review invite {escape(str(folder))} NAME"
                console.print(f"[yellow]warning:[/] everybody who can reach {host} can review; ask for tokens: {how}")
        if not run_app(make_app(database, GuardSettings(allowed_hosts=hosts)), listening, GRACE_SECONDS):
            console.print("stopped")
