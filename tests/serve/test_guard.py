import pytest
from starlette.testclient import TestClient

from seallm.serve.engine import Engine
from seallm.serve.http import ServerSettings, make_app
from seallm.web.guard import LOOPBACK_HOSTS, SECURITY_HEADERS, GuardSettings, is_loopback

HELLO = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 1}
URL = "/v1/chat/completions"


def make_client(engine: Engine, guard: GuardSettings) -> TestClient:
    return TestClient(make_app(engine, ServerSettings(guard)), base_url="http://127.0.0.1:8000")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8000", "LOCALHOST:80", "[::1]", "[::1]:8000"])
def test_loopback_names_are_answered(shared_engine: Engine, host: str) -> None:
    assert make_client(shared_engine, GuardSettings()).get("/health", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example:8000", "localhost.evil.example", "", "[::1]x"]
)
@pytest.mark.parametrize("path", ["/", "/health", "/v1/models"])
def test_other_names_are_refused(shared_engine: Engine, host: str, path: str) -> None:
    response = make_client(shared_engine, GuardSettings()).get(path, headers={"host": host})
    assert (response.status_code, response.json()["error"]["code"]) == (403, "host_not_allowed")


def test_any_name_where_hosts_are_not_limited(shared_engine: Engine) -> None:
    client = make_client(shared_engine, GuardSettings(allowed_hosts=None))
    assert client.get("/health", headers={"host": "chat.example"}).status_code == 200


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://127.0.0.1:8000", 200),
        ("http://127.0.0.1:9000", 403),
        ("https://evil.example", 403),
        ("null", 403),
    ],
)
def test_pages_of_other_sites_are_refused(shared_engine: Engine, origin: str, status: int) -> None:
    client = make_client(shared_engine, GuardSettings())
    assert client.post(URL, json=HELLO, headers={"origin": origin}).status_code == status


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (None, 401),
        ("Bearer wrong", 401),
        ("Bearer ", 401),
        ("Basic right-key", 401),
        ("right-key", 401),
        ("Bearer right-key", 200),
        ("bearer right-key ", 200),
    ],
)
def test_api_key(shared_engine: Engine, sent: str | None, status: int) -> None:
    client = make_client(shared_engine, GuardSettings(api_key="right-key"))
    headers = {} if sent is None else {"authorization": sent}
    for response in (client.post(URL, json=HELLO, headers=headers), client.get("/v1/models", headers=headers)):
        assert response.status_code == status
        if status == 401:
            assert response.json()["error"]["code"] == "invalid_api_key"
            assert response.headers["www-authenticate"] == "Bearer"
            assert "right-key" not in response.text


@pytest.mark.parametrize(("path", "status"), [("/", 200), ("/page.js", 200), ("/health", 200), ("/openapi.json", 401)])
def test_only_page_and_health_need_no_key(shared_engine: Engine, path: str, status: int) -> None:
    assert make_client(shared_engine, GuardSettings(api_key="k")).get(path).status_code == status


@pytest.mark.parametrize("path", ["/", "/page.css", "/v1/models", "/nothing"])
def test_every_answer_has_the_security_headers(shared_engine: Engine, path: str) -> None:
    headers = make_client(shared_engine, GuardSettings()).get(path).headers
    assert {name: headers[name] for name in SECURITY_HEADERS} == SECURITY_HEADERS


def test_the_policy_allows_nothing_from_elsewhere_and_nothing_inline() -> None:
    policy = dict(part.strip().split(" ", 1) for part in SECURITY_HEADERS["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["require-trusted-types-for"] == "'script'"


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("127.8.9.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False)],
)
def test_is_loopback(host: str, *, expected: bool) -> None:
    assert is_loopback(host) == expected


def test_loopback_hosts_are_lower_case() -> None:
    assert {name.lower() for name in LOOPBACK_HOSTS} == LOOPBACK_HOSTS
