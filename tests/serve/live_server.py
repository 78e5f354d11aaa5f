"""The application behind a real uvicorn on a free port of the loopback address."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from seallm.serve.engine import Engine
from seallm.serve.http import ServerSettings, make_app
from seallm.serve.page_api import PageParts


@contextmanager
def live_server(engine: Engine, settings: ServerSettings, parts: PageParts | None = None) -> Iterator[int]:
    """Run a server in a thread and give its port."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(
        uvicorn.Config(
            make_app(engine, settings, parts), log_level="warning", access_log=False, ws="none", lifespan="off"
        )
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()
        listening.close()
