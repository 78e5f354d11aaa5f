"""The files of a page in, routes that send them out. Style and writing systems are shared by all pages."""

from collections.abc import Awaitable, Callable
from importlib import resources
from importlib.resources.abc import Traversable

from fastapi import FastAPI, Request, Response

OWN_FILES = {
    "/": ("index.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
}
SHARED_FILES = {"/look.css": ("look.css", "text/css"), "/scripts.js": ("scripts.js", "text/javascript")}


def add_page(app: FastAPI, package: str) -> None:
    """Serve `page/` of a package (index.html, page.css, page.js) beside what all pages share."""
    for owner, files in ((package, OWN_FILES), ("seallm.web", SHARED_FILES)):
        folder = resources.files(owner) / "page"
        for path, (name, media_type) in files.items():
            app.add_route(path, _file_route(folder / name, media_type), include_in_schema=False)


def _file_route(file: Traversable, media_type: str) -> Callable[[Request], Awaitable[Response]]:
    content = file.read_bytes()

    async def send_file(_: Request) -> Response:
        return Response(content, media_type=media_type, headers={"cache-control": "no-cache"})

    return send_file
