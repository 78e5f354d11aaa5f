"""The files of a page in, routes that send them out. Style and writing systems are shared by all pages."""

from collections.abc import Awaitable, Callable
from importlib import resources
from importlib.resources.abc import Traversable

from fastapi import FastAPI, Request, Response

MEDIA_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}


def add_page(app: FastAPI, package: str) -> None:
    """Serve `page/` of a package beside what all pages share; index.html is at /."""
    for owner in ("seallm.web", package):
        for file in (resources.files(owner) / "page").iterdir():
            media_type = MEDIA_TYPES["." + file.name.rpartition(".")[2]]
            path = "/" if file.name == "index.html" else f"/{file.name}"
            app.add_route(path, _file_route(file, media_type), include_in_schema=False)


def _file_route(file: Traversable, media_type: str) -> Callable[[Request], Awaitable[Response]]:
    content = file.read_bytes()

    async def send_file(_: Request) -> Response:
        return Response(content, media_type=media_type, headers={"cache-control": "no-cache"})

    return send_file
