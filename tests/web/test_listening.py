"""Where a server listens, and which names it answers to."""

import pytest

from seallm.base.errors import WorkspaceError
from seallm.web.listening import address_of, allowed_hosts, listen


def test_a_free_port_and_one_in_use() -> None:
    with listen("127.0.0.1", 0) as listening:
        port = listening.getsockname()[1]
        assert address_of("127.0.0.1", listening) == f"http://127.0.0.1:{port}"
        assert address_of("::1", listening) == f"http://[::1]:{port}"
        with pytest.raises(WorkspaceError, match=f"Cannot listen on 127.0.0.1 port {port}"):
            listen("127.0.0.1", port)


def test_an_address_of_another_machine() -> None:
    with pytest.raises(WorkspaceError, match="Give another --host or --port"):
        listen("192.0.2.1", 0)


@pytest.mark.parametrize("port", [-1, 65_536, 99_999])
def test_a_port_that_does_not_exist(port: int) -> None:
    with pytest.raises(WorkspaceError, match=f"There is no port {port}"):
        listen("127.0.0.1", port)


def test_loopback_addresses_answer_to_loopback_names_alone() -> None:
    assert allowed_hosts("127.0.0.2") == {"localhost", "127.0.0.1", "[::1]", "127.0.0.2"}
    assert allowed_hosts("::1") == {"localhost", "127.0.0.1", "[::1]"}
    assert allowed_hosts("0.0.0.0") is None
    assert allowed_hosts("review.example") is None
