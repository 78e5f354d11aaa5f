"""The review page behind a real uvicorn on a free port of the loopback address."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from seallm.review.database import Database
from seallm.review.http import make_app
from seallm.web.guard import GuardSettings


@contextmanager
def live_review(database: Database, port: int = 0) -> Iterator[int]:
    """Run a server in a thread and give its port."""
    listening = socket.create_server(("127.0.0.1", port))
    app = make_app(database, GuardSettings())
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False, ws="none", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()
        listening.close()
