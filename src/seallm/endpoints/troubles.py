"""What came back instead of an answer in, what to do about it out: ask again, give this question up, or stop.

ask again          no connection, a broken or silent one, a body cut short, JSON that is none, and the statuses 408,
                   409, 425, 429 and from 500 on
give it up         other statuses from 400 on: this question is too long, or refused; others may do
stop               401, 402, 403, 404, an empty account, a redirection, a web page: no question would do
"""

import email.utils
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import httpx2

ASK_AGAIN = frozenset({408, 409, 425, 429})
SHOWN_CHARACTERS = 300
_NO_MONEY = ("insufficient_quota", "billing_not_active", "insufficient_balance")
_HINTS = {
    401: "check the key",
    402: "the account has no credit",
    403: "check the key and what it may do",
    404: "check the address, which as a rule ends with /v1, and the model's name",
}


@dataclass(frozen=True)
class Trouble:
    """Why there is no answer.

    Attributes:
        text: for people, one line.
        ends: what ends with it: this attempt, this question, or all work with the endpoint.
        wait_seconds: what the server asks to wait.
        is_silent: no server was reached at all.
        status: of the HTTP answer; 0 where there was none.
    """

    text: str
    ends: Literal["attempt", "question", "work"] = "attempt"
    wait_seconds: float | None = None
    is_silent: bool = False
    status: int = 0


def trouble_of_error(error: Exception, connect_seconds: float, call_seconds: float) -> Trouble:
    """The trouble that an exception of the HTTP library means."""
    if isinstance(error, httpx2.ConnectTimeout):
        return Trouble(f"no connection within {connect_seconds:g} s", is_silent=True)
    if isinstance(error, TimeoutError | httpx2.TimeoutException):
        return Trouble(f"no whole answer within {call_seconds:g} s")
    if isinstance(error, httpx2.ConnectError):
        return Trouble(f"no connection ({_line(error)})", is_silent=True)
    return Trouble(f"the connection broke ({_line(error)})")


def trouble_of_answer(response: httpx2.Response) -> Trouble | None:
    """The trouble that a whole HTTP answer means; None where it may be an answer to the question."""
    status = response.status_code
    body = _json(response)
    said = error_text(body) if body is not None else _first_line(response.text)
    if 300 <= status < 400:
        target = response.headers.get("location", "elsewhere")
        return Trouble(f"it redirects to {target}; give that address", "work", status=status)
    if status < 300:
        return _trouble_of_success(response, body, said)
    text = f"status {status}" + (f": {said}" if said else "")
    if status in _HINTS or (status == 429 and any(word in json.dumps(body) for word in _NO_MONEY)):
        hint = _HINTS.get(status, _HINTS[402])
        return Trouble(f"{text}; {hint}", "work", status=status)
    if status in ASK_AGAIN or status >= 500:
        return Trouble(text, wait_seconds=retry_after_seconds(response.headers), status=status)
    return Trouble(text, "question", status=status)


def _trouble_of_success(response: httpx2.Response, body: Any, said: str) -> Trouble | None:
    if body is None and "html" in response.headers.get("content-type", ""):
        return Trouble(f"it answers with a web page; {_HINTS[404]}", "work")
    if body is None:
        return Trouble(f"the answer is not JSON: {said!r}")
    if not isinstance(body, dict):
        return Trouble(f"the answer is a JSON {type(body).__name__}, not an object")
    if body.get("error"):  # some gateways pass an error on with status 200
        return Trouble(said or "an error without words")
    return None


def error_text(body: Any) -> str:
    """What a server says of its error, in the shapes that are in use; empty where it says nothing."""
    if not isinstance(body, dict):
        return ""
    told = body.get("error") or body.get("detail") or body.get("message") or ""
    if isinstance(told, dict):
        told = told.get("message") or told
    return _first_line(told if isinstance(told, str) else json.dumps(told, ensure_ascii=False))


def retry_after_seconds(headers: Mapping[str, str]) -> float | None:
    """Read Retry-After (RFC 9110): seconds, or a date; None where it is absent or neither."""
    value = headers.get("retry-after", "").strip()
    if value.replace(".", "", 1).isdigit():
        return float(value)
    date = email.utils.parsedate_tz(value) if value else None
    return None if date is None else max(0.0, email.utils.mktime_tz(date) - time.time())


def _json(response: httpx2.Response) -> Any:
    try:
        return json.loads(response.content)
    except (ValueError, RecursionError):
        return None


def _line(error: Exception) -> str:
    return _first_line(str(error)) or type(error).__name__


def _first_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= SHOWN_CHARACTERS else line[:SHOWN_CHARACTERS] + " ..."
