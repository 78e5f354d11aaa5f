"""`http://host/v1#model` in, the address that calls go to and the model's name out; and the key, kept from all eyes."""

import ipaddress
import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from seallm.base.errors import EndpointError

KEY_VARIABLE = "SEALLM_ENDPOINT_KEY"
_EXPECTED = "Expected http://host:port/v1#model or https://host/v1#model"


@dataclass(frozen=True)
class Address:
    """Where a model answers.

    Attributes:
        url: what all paths are put behind, without a slash at its end: `https://host/v1`.
        model: its name there; empty where the server has only one.
    """

    url: str
    model: str = ""

    @property
    def is_here(self) -> bool:
        """True where the server runs on this machine: no proxy stands between."""
        host = urlsplit(self.url).hostname or ""
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"

    def __str__(self) -> str:
        return f"{self.url}#{self.model}" if self.model else self.url


def is_address(text: str) -> bool:
    """True for what names an endpoint and not a folder."""
    return text.startswith(("http://", "https://"))


def parse_address(text: str) -> Address:
    """Take an address apart.

    Raises:
        EndpointError: it is none, or it carries what belongs elsewhere: a password, a query.
    """
    parts = urlsplit(text.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise EndpointError(f"{text!r} is not the address of an endpoint. {_EXPECTED}")
    if "@" in parts.netloc or parts.query:
        raise EndpointError(
            f"The address of {parts.hostname} carries a password or a query, which would be stored with the answers. "
            f"{_EXPECTED}, and give the key by {KEY_VARIABLE} or a file"
        )
    path = parts.path.rstrip("/")
    for ending in ("/chat/completions", "/completions", "/models"):
        path = path.removesuffix(ending)
    return Address(parts._replace(path=path, fragment="").geturl(), parts.fragment)


class ApiKey:
    """A key that shows itself only to the server: not in messages, logs, `repr`, or what is stored."""

    def __init__(self, secret: str) -> None:
        self._secret = secret

    def __repr__(self) -> str:
        return "ApiKey(***)"

    @property
    def header(self) -> str:
        """Value of the Authorization header."""
        return f"Bearer {self._secret}"

    def hidden_in(self, text: str) -> str:
        """A text of the server's with the key made unreadable, should it repeat it."""
        return text.replace(self._secret, "***")


def read_api_key(source: str = f"env:{KEY_VARIABLE}") -> ApiKey | None:
    """Read the key from where it is kept.

    Args:
        source: `env:NAME`, an environment variable, or `file:PATH`, a file with nothing else in it.

    Returns:
        None where the default variable is not set: local servers want no key.

    Raises:
        EndpointError: there is nothing, or something that cannot be a key.
    """
    kind, _, name = source.partition(":")
    if kind not in ("env", "file") or not name:
        raise EndpointError(
            "The key must come from env:NAME or file:PATH; what was found is not shown, should it be a key itself. Put "
            "the key into an environment variable or a file, and name that"
        )
    if kind == "env":
        secret = os.environ.get(name, "").strip()
        if not secret and name == KEY_VARIABLE:
            return None
    else:
        try:
            secret = Path(name).expanduser().read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise EndpointError(f"The key's file {name} cannot be read ({type(error).__name__})") from None
    if not secret or not secret.isascii() or not secret.isprintable() or " " in secret:
        raise EndpointError(f"{source} holds no key: expected one line of printable characters without spaces")
    return ApiKey(secret)
