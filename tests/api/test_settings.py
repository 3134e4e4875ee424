"""Who can reach a front decides whether it may be open."""

import socket

import pytest

from api.settings import ApiSettings


@pytest.mark.parametrize(
    ("host", "private"),
    [
        ("127.0.0.1", True),
        ("127.8.0.1", True),
        ("localhost", True),
        ("::1", True),
        ("[::1]", True),
        ("0.0.0.0", False),
        ("::", False),
        ("", False),
        ("10.0.0.7", False),
        ("gateway.example.com", False),
    ],
)
def test_only_a_loopback_address_is_private(host: str, *, private: bool) -> None:
    assert ApiSettings("redis://x", host=host).is_private() is private


@pytest.mark.parametrize(("host", "private"), [("127.0.0.1", True), ("0.0.0.0", False)])
def test_an_inherited_socket_tells_its_own_address(host: str, *, private: bool) -> None:
    with socket.create_server((host, 0)) as listener:
        settings = ApiSettings("redis://x", host="127.0.0.1", fd=listener.fileno())
        assert settings.is_private() is private
        assert settings.address() == listener.getsockname()
        assert listener.getsockname()[0] == host, "still open"


def test_a_unix_socket_is_private() -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        settings = ApiSettings("redis://x", host="0.0.0.0", fd=listener.fileno())
        assert settings.is_private()
        assert settings.address() == ("", 0)
