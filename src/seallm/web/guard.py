"""What every request passes before a route sees it: Host, Origin, API key, body size; and headers of every answer.

A page on another site must not reach a server on this machine: neither by a name that its owner points at 127.0.0.1
(DNS rebinding: the Host header gives it away) nor by posting from a visitor's browser (the Origin header does).
Everything but the page itself and /health needs the key, where there is one.
"""

import asyncio
import hmac
import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from seallm.web.refusals import error_response

LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "[::1]"})
OPEN_PATHS = re.compile(r"/|/health|/[a-z]+\.(?:css|js)")  # the page, its files, and what a watcher asks
SECURITY_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


@dataclass(frozen=True)
class GuardSettings:
    """What is let through.

    Attributes:
        api_key: clients send it as `Authorization: Bearer ...`; None lets everybody in.
        allowed_hosts: Host headers answered, without port; None answers all.
        max_body_bytes: larger bodies are refused.
        path_bytes: the same for paths that take larger ones.
        body_seconds: time a client may take to send its body.
    """

    api_key: str | None = None
    allowed_hosts: frozenset[str] | None = LOOPBACK_HOSTS
    max_body_bytes: int = 2**20
    path_bytes: Mapping[str, int] = field(default_factory=dict)
    body_seconds: float = 30.0


def is_loopback(host: str) -> bool:
    """True for addresses that only this machine can reach."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Guard:
    """ASGI middleware around the application."""

    def __init__(
        self, app: ASGIApp, settings: GuardSettings, replied: Callable[[str, int], object] | None = None
    ) -> None:
        self.app, self.settings, self.replied = app, settings, replied

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or hand on with the body already read."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(SECURITY_HEADERS)
                self._count(scope, message["status"])
            await send(message)

        headers = Headers(scope=scope)
        refusal = self._refuse_sender(headers) or self._refuse_key(headers, scope["path"])
        body = refusal or await self._read_body(receive, scope["path"])
        if isinstance(body, bytes):
            await self.app(scope, _replay(body, receive), send_with_headers)
        else:
            await body(scope, receive, send_with_headers)

    def _count(self, scope: Scope, status: int) -> None:
        if self.replied is not None:
            route = scope.get("route")  # none where a request was refused or led nowhere
            self.replied(getattr(route, "path", "other"), status)

    def _refuse_sender(self, headers: Headers) -> JSONResponse | None:
        host = headers.get("host", "").lower()
        allowed = self.settings.allowed_hosts
        if allowed is not None and _without_port(host) not in allowed:
            names = ", ".join(sorted(allowed))
            return error_response(403, f"this server answers to the host names {names} only", "host_not_allowed")
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin.lower()).netloc != host:
            return error_response(403, "requests from pages of other sites are refused", "origin_not_allowed")
        return None

    def _refuse_key(self, headers: Headers, path: str) -> JSONResponse | None:
        key = self.settings.api_key
        if key is None or OPEN_PATHS.fullmatch(path):
            return None
        scheme, _, sent = headers.get("authorization", "").partition(" ")
        is_right = hmac.compare_digest(sent.strip().encode("latin-1"), key.encode())
        if is_right and scheme.lower() == "bearer":
            return None
        found = "the API key is wrong" if sent else "an API key is needed"
        message = f"{found}; send the header Authorization: Bearer KEY"
        return error_response(401, message, "invalid_api_key", {"www-authenticate": "Bearer"})

    async def _read_body(self, receive: Receive, path: str) -> bytes | JSONResponse:
        limit = self.settings.path_bytes.get(path, self.settings.max_body_bytes)
        leave = {"connection": "close"}  # the rest of the body is not waited for
        body = bytearray()
        try:
            async with asyncio.timeout(self.settings.body_seconds):
                has_more = True
                while has_more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        break
                    body += message.get("body", b"")
                    has_more = message.get("more_body", False)
                    if len(body) > limit:
                        return error_response(413, f"the body exceeds {limit:,} bytes", "body_too_large", leave)
        except TimeoutError:
            return error_response(408, "the body did not arrive in time", "body_timeout", leave)
        return bytes(body)


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdecimal() else host


def _replay(body: bytes, receive: Receive) -> Receive:
    """Give the body that was read already, then whatever comes after it."""
    is_given = False

    async def replay() -> Message:
        nonlocal is_given
        if is_given:
            return await receive()
        is_given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
