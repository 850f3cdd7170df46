"""Addresses of servers: what is one, and how it is written."""

from __future__ import annotations

import pytest

from nemorun_cli.errors import InvalidValueError
from nemorun_cli.replication import address


@pytest.mark.parametrize(
    ("url", "normal"),
    [
        ("HTTPS://Exp.Example.ORG:443/", "https://exp.example.org"),
        ("http://h:80/a/b//", "http://h/a/b"),
        ("https://h.:8443", "https://h:8443"),
        ("http://[::0001]:8300/", "http://[::1]:8300"),
        ("http://127.0.0.1:8300", "http://127.0.0.1:8300"),
    ],
)
def test_a_server_has_one_address(url: str, normal: str) -> None:
    """Case, the usual port and slashes at the end make no other server."""
    assert address.normalized(url) == normal
    assert address.normalized(normal) == normal


NO_ADDRESSES = [
    *(
        "",
        "h",
        "ftp://h",
        "file:///etc",
        "http://",
        "https://u@h",
        "https://u:p@h",
        "https://h?x=1",
        "https://h#t",
    ),
    *("https://h/../x", "https://h/a//b", "https://h:99999", "https://h:", "https://[::1", "https://h h"),
    *(
        "https://h\n",
        "https://\u00fc.example",
        "https://h\\@evil",
        "https://-",
        "https://a..b",
        "https://%31",
    ),
    "https://h" + "x" * 2000,
]


@pytest.mark.parametrize("url", NO_ADDRESSES)
def test_what_is_no_address_is_refused(url: str) -> None:
    """An address has no user, query, fragment, dots or odd characters; a password is not repeated."""
    with pytest.raises(InvalidValueError) as error:
        address.normalized(url)
    assert "u:p" not in error.value.message


def test_a_token_is_private_with_tls_or_on_this_machine() -> None:
    """Only https, and loopback by name or number, keep a token from others on the way."""
    private = ["https://h", "http://localhost:1", "http://127.9.9.9", "http://[::1]:1"]
    public = [
        "http://h",
        "http://10.0.0.1",
        "http://localhost.evil.example",
        "http://a.localhost",
        "http://127.0.0.1.evil.example",
    ]
    assert [url for url in [*private, *public] if address.is_private(url)] == private
