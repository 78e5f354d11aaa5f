"""A folder goes to a hub whole and alone.

The stand-in speaks as much of the hub's HTTP as one commit of small files needs. Large files, which the hub takes
through a store of their own, are not tried here.
"""

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants

from seallm.base.errors import DataError, EndpointError
from seallm.export.folder import new_folder, write_record
from seallm.export.hub import files_to_push
from tests.export.test_hugging_face import run

TOKEN = "hf_secret_of_a_test"


class Hub(ThreadingHTTPServer):
    """Repositories in memory."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.private: dict[str, bool] = {}
        self.refuses = False
        self.address = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, *_: object) -> None:
        """Quiet."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Authorization") != f"Bearer {TOKEN}" or self.server.refuses:
            self._answer(401, {"error": "Invalid credentials"})
        elif self.path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked['organization']}/{asked['name']}" if asked.get("organization") else asked["name"]
            known = name in self.server.repositories
            self.server.repositories.setdefault(name, {})
            self.server.private.setdefault(name, asked.get("visibility") == "private")
            self._answer(409 if known else 200, {"url": f"{self.server.address}/{name}", "error": "exists"})
        elif self.path == "/api/validate-yaml":  # the model card's front matter
            self._answer(200, {"errors": [], "warnings": []})
        elif self.path.endswith("/preupload/main"):
            files = [
                {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in json.loads(body)["files"]
            ]
            self._answer(200, {"files": files})
        elif self.path.endswith("/commit/main"):
            name = self.path.removeprefix("/api/models/").removesuffix("/commit/main")
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    value = line["value"]
                    self.server.repositories[name][value["path"]] = base64.b64decode(value["content"])
            self._answer(
                200, {"commitUrl": f"{self.server.address}/{name}/commit/1", "commitOid": "1", "success": True}
            )
        else:
            self._answer(404, {"error": self.path})

    def do_GET(self) -> None:
        self._answer(404, {"error": self.path})

    def _answer(self, status: int, value: Any) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    server = Hub()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    # both are read from the environment when the library is loaded
    monkeypatch.setattr(constants, "ENDPOINT", server.address)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    with new_folder(tmp_path / "out") as partial:
        (partial / "config.json").write_text("{}")
        (partial / "model.safetensors").write_bytes(bytes(range(200)))
        (partial / "README.md").write_text("# ภาษา\n")
        write_record(partial, "hf", "tiny", {})
    return tmp_path / "out"


def test_all_files_in_one_private_repository(hub: Hub, exported: Path) -> None:
    said = run("push", exported, "me/tiny")
    assert hub.repositories["me/tiny"] == {path.name: path.read_bytes() for path in exported.iterdir()}
    assert hub.private == {"me/tiny": True}
    assert f"{hub.address}/me/tiny/commit/1" in said
    assert TOKEN not in said
    run("push", exported, "me/tiny", "--public")  # one that exists stays as it is
    assert hub.private == {"me/tiny": True}
    run("push", exported, "me/other", "--public")
    assert hub.private["me/other"] is False


def test_dry_run_sends_nothing(hub: Hub, exported: Path) -> None:
    said = run("push", exported, "me/tiny", "--dry-run")
    assert "4 files would go to me/tiny (private if new)" in said
    assert "model.safetensors" in said
    assert hub.repositories == {}


def test_a_hub_that_refuses(hub: Hub, exported: Path) -> None:
    hub.refuses = True
    with pytest.raises(EndpointError, match=r"did not take me/tiny: .*Check the name") as caught:
        run("push", exported, "me/tiny")
    assert TOKEN not in str(caught.value)
    with pytest.raises(DataError, match="'tiny' is no repository; expected owner/name"):
        run("push", exported, "tiny")


def test_nothing_else_than_an_export(exported: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"is no export \(it has no seallm-export\.json\)"):
        files_to_push(tmp_path)
    (exported / ".env").write_text("KEY=1")
    (exported / "optimizer.pt").write_text("x")
    (exported / "chats").mkdir()
    (exported / "tokenizer.json").symlink_to("/etc/hostname")
    with pytest.raises(DataError, match=r"more than an exported model: \.env, chats, optimizer\.pt, tokenizer\.json"):
        files_to_push(exported)
