"""Whatever goes wrong, the answer has the one shape, and never what was sent."""

from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Discriminator, Tag
from starlette.testclient import TestClient

from seallm.web.refusals import add_refusals, error_response

Branches = Annotated[
    Annotated[int, Tag("as-number")] | Annotated[list[int], Tag("as-list")],
    Discriminator(lambda value: "as-list" if isinstance(value, list) else "as-number"),
]


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")
    count: Branches


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    app = FastAPI()
    add_refusals(app, Body.model_fields, {"x-kept": "yes"})

    @app.post("/body")
    async def take(body: Body) -> str:
        return str(body.count)

    @app.get("/broken")
    async def break_down() -> None:
        raise ZeroDivisionError

    @app.get("/busy")
    async def busy() -> Any:
        return error_response(503, "come again", "busy", {"retry-after": "1"})

    with TestClient(app, raise_server_exceptions=False) as made:
        yield made


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({"count": "secret"}, "invalid_value", "count"),
        ({"count": [1, "secret"]}, "invalid_value", "count.1"),  # not count.as-list.1
        ({"count": 1, "secret-field": 1}, "unknown_parameter", "secret-field"),
        ({}, "invalid_value", "count"),
        (["secret"], "invalid_json", None),
    ],
)
def test_a_body_that_does_not_fit(client: TestClient, body: object, code: str, param: str | None) -> None:
    response = client.post("/body", json=body)
    error = response.json()["error"]
    assert (response.status_code, error["type"], error["code"], error["param"]) == (
        400,
        "invalid_request_error",
        code,
        param,
    )
    assert "secret" not in error["message"].replace("secret-field", "")


def test_other_refusals(client: TestClient) -> None:
    found = {path: client.get(path) for path in ("/none", "/body", "/broken", "/busy")}
    codes = {path: (answer.status_code, answer.json()["error"]["code"]) for path, answer in found.items()}
    assert codes == {
        "/none": (404, "not_found"),
        "/body": (405, "method_not_allowed"),
        "/broken": (500, "internal_error"),
        "/busy": (503, "busy"),
    }
    assert found["/broken"].headers["x-kept"] == "yes"
    assert found["/busy"].headers["retry-after"] == "1"
    assert "ZeroDivision" not in found["/broken"].text
