"""Whatever goes wrong with a request in, one error shape out: OpenAI's, which every client of seallm reads."""

from collections.abc import Collection, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

_CODES = {404: "not_found", 405: "method_not_allowed"}


class ErrorDetail(BaseModel):
    """What went wrong, as OpenAI's clients read it."""

    message: str
    type: str
    param: str | None = None
    code: str


class ErrorBody(BaseModel):
    """Body of every refusal."""

    error: ErrorDetail


def error_detail(status: int, message: str, code: str, param: str | None = None) -> ErrorDetail:
    """An error with the type that OpenAI's clients expect of the status."""
    types = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
    other = "server_error" if status >= 500 else "invalid_request_error"
    return ErrorDetail(message=message, type=types.get(status, other), param=param, code=code)


def validation_detail(errors: Sequence[Any], fields: Collection[str]) -> ErrorDetail:
    """The first of pydantic's errors: where, and what was expected; never the value that was sent.

    Args:
        errors: of one request.
        fields: names that may stand in the place of an error; other parts of it name the branch of a union.
    """
    first = errors[0]
    kind, place = first["type"], first["loc"][1:]  # the first part is "body"
    if kind == "json_invalid":
        return error_detail(
            400, f"the body is not JSON: {first['ctx']['error']} at character {place[0]}", "invalid_json"
        )
    if not place and kind in ("missing", "model_attributes_type", "model_type"):
        return error_detail(400, "the body must be a JSON object, sent as application/json", "invalid_json")
    if kind == "extra_forbidden":
        return error_detail(
            400, f"{str(place[-1])[:80]!r} is not a known field", "unknown_parameter", str(place[-1])[:80]
        )
    param = ".".join(str(part) for part in place if isinstance(part, int) or part in fields) or None
    expected = first["msg"].removeprefix("Value error, ")
    return error_detail(400, f"{param}: {expected}" if param else expected, "invalid_value", param)


def error_response(status: int, message: str, code: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """A refusal as OpenAI's clients read it."""
    body = ErrorBody(error=error_detail(status, message, code))
    return JSONResponse(body.model_dump(), status, headers)


def add_refusals(app: FastAPI, fields: Collection[str], headers: Mapping[str, str]) -> None:
    """Give every refusal of `app` the one shape.

    Args:
        app: the application.
        fields: names of all fields that a client can send.
        headers: of the answer to a failure of ours: it is made outside of all middleware.
    """

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        detail = validation_detail(error.errors(), fields)
        return JSONResponse(ErrorBody(error=detail).model_dump(), HTTPStatus.BAD_REQUEST)

    @app.exception_handler(HTTPException)
    async def refused(_: Request, error: HTTPException) -> JSONResponse:
        code = _CODES.get(error.status_code, "invalid_request")
        return error_response(error.status_code, error.detail, code, dict(error.headers or {}))

    @app.exception_handler(Exception)
    async def failed(_: Request, error: Exception) -> JSONResponse:
        # the server logs the traceback
        return error_response(500, "the server failed; its log says why", "internal_error", dict(headers))
