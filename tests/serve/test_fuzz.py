"""Bodies made from the server's own OpenAPI schema, right and wrong: no route ever answers 500, or not at all."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from seallm.base.sampling import SamplingSettings
from seallm.serve.engine import Engine
from seallm.serve.http import ServerSettings, make_app

TEXT = st.text(max_size=8)
JUNK = st.none() | st.booleans() | st.integers(-5, 400) | st.floats(allow_nan=False, allow_infinity=False) | TEXT
ROUTES = {  # with statuses that must be among the replies
    "/v1/chat/completions": {200, 400},
    "/v1/completions": {200, 400},
    "/v1/tokenize": {200, 400},
    "/page/batches": {400},
    "/page/language": {200},
}


@pytest.fixture(scope="module")
def client(shared_engine: Engine) -> TestClient:
    app = make_app(shared_engine, ServerSettings(sampling=SamplingSettings(3, temperature=1.0), max_answers=2))
    return TestClient(app, base_url="http://127.0.0.1:8000", raise_server_exceptions=False)


def values(shape: dict[str, Any], parts: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values of a JSON schema, as far as ours go; numbers may leave their bounds."""
    if "$ref" in shape:
        return values(parts[shape["$ref"].rpartition("/")[2]], parts)
    for kinds in ("anyOf", "oneOf"):
        if kinds in shape:
            return st.one_of([values(kind, parts) for kind in shape[kinds]])
    if "enum" in shape or "const" in shape:
        return st.sampled_from(shape.get("enum") or [shape["const"]])
    kind = shape.get("type")
    if kind == "object":
        known = {name: values(inner, parts) for name, inner in shape.get("properties", {}).items()}
        needed = {name: known.pop(name) for name in shape.get("required", ()) if name in known}
        if not known and not needed:
            return st.dictionaries(st.sampled_from(["5", "77", "th"]), JUNK, max_size=2)
        chosen = st.lists(st.sampled_from(sorted(known)), max_size=3, unique=True) if known else st.just([])
        return chosen.flatmap(lambda names: st.fixed_dictionaries(needed | {name: known[name] for name in names}))
    if kind == "array":
        return st.lists(values(shape.get("items", {}), parts), max_size=3)
    low, high = shape.get("minimum", 0), shape.get("maximum", 60)
    return {
        "string": TEXT.filter(str.strip),
        "integer": st.integers(int(low), min(int(high), 60)) | st.integers(),
        "number": st.floats(float(low), float(high)),
        "boolean": st.booleans(),
        "null": st.none(),
    }.get(kind or "", JUNK)


@pytest.mark.parametrize("route", ROUTES)
def test_no_body_makes_a_route_fail(client: TestClient, route: str) -> None:
    schema = client.get("/openapi.json").json()
    body = schema["paths"][route]["post"]["requestBody"]["content"]["application/json"]["schema"]
    seen = set()

    @settings(deadline=None, max_examples=30, suppress_health_check=list(HealthCheck), database=None)
    @given(values(body, schema["components"]["schemas"]))
    def send(value: dict[str, Any]) -> None:
        value = {name: item for name, item in value.items() if item is not None and name != "model"}
        response = client.post(route, json=value)
        seen.add(response.status_code)
        assert response.status_code in (200, 400, 404), response.text
        if response.status_code != 200:
            assert response.json()["error"]["message"]

    send()
    assert seen >= ROUTES[route]
