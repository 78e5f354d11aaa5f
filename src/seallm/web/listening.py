"""A host and a port in, a running server out."""

import socket

import uvicorn
from fastapi import FastAPI

from seallm.base.errors import WorkspaceError
from seallm.web.guard import LOOPBACK_HOSTS, is_loopback


def allowed_hosts(host: str) -> frozenset[str] | None:
    """Host headers to answer when listening on `host`: loopback names alone on a loopback address, else all (None)."""
    return LOOPBACK_HOSTS | {_in_url(host)} if is_loopback(host) else None


def address_of(host: str, listening: socket.socket) -> str:
    """The URL of a server, with the port it was given."""
    return f"http://{_in_url(host)}:{listening.getsockname()[1]}"


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def listen(host: str, port: int) -> socket.socket:
    """Listen; port 0 takes a free one.

    Raises:
        WorkspaceError: the address is in use or is not this machine's.
    """
    if not 0 <= port < 2**16:  # the system would take what is left of it by 65,536
        raise WorkspaceError(f"There is no port {port}; give a --port from 0, which takes a free one, to 65535")
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


def run_app(app: FastAPI, listening: socket.socket, grace_seconds: int) -> bool:
    """Serve until the process is asked to stop; False where that was Ctrl-C.

    Args:
        app: the application.
        listening: of `listen`.
        grace_seconds: that answers under way may take to end.
    """
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        ws="none",
        lifespan="off",
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=grace_seconds,
    )
    try:
        uvicorn.Server(config).run(sockets=[listening])
    except KeyboardInterrupt:  # uvicorn has shut down in good order, and passes it on
        return False
    return True
