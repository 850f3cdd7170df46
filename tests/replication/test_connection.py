from __future__ import annotations

import pytest

from nemorun_cli.errors import UsageError
from nemorun_cli.replication import client, connection
from nemorun_cli.replication.remote_errors import RemoteError

PROXY = "http://proxy.example:3128"
VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.mark.parametrize(
    ("url", "variables", "proxy"),
    [
        ("https://exp.example", {"HTTPS_PROXY": PROXY}, PROXY),
        ("https://exp.example", {"https_proxy": "proxy.example:3128"}, PROXY),
        ("https://exp.example", {"HTTP_PROXY": PROXY}, None),
        ("https://exp.example", {"ALL_PROXY": PROXY}, PROXY),
        ("https://exp.example", {"HTTPS_PROXY": PROXY, "NO_PROXY": ".example"}, None),
        ("https://exp.example:8443", {"HTTPS_PROXY": PROXY, "NO_PROXY": "exp.example:8443"}, None),
        ("https://exp.example", {"HTTPS_PROXY": PROXY, "NO_PROXY": "*"}, None),
        ("http://127.0.0.1:8300", {"HTTP_PROXY": PROXY}, None),
        ("http://localhost:8300", {"HTTP_PROXY": PROXY}, None),
        ("http://[::1]:8300", {"HTTP_PROXY": PROXY}, None),
        ("https://exp.example", {}, None),
    ],
)
def test_proxies_are_those_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, url: str, variables: dict[str, str], proxy: str | None
) -> None:
    """The usual variables choose the proxy of a server, and none is used for this machine."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert connection.proxy_of(url) == proxy


def test_certificates_that_cannot_be_read_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """EXP_CA_FILE that names no certificates is a wrong use, which names the variable."""
    monkeypatch.setenv("EXP_CA_FILE", "/dev/null")
    with pytest.raises(UsageError, match="EXP_CA_FILE=/dev/null"):
        connection.pool("https://exp.example")


@pytest.mark.parametrize(
    ("prefix", "address"),
    [
        ("alice/p/n", "/v1/records/alice/p/n/.record"),
        ("alice/ü x/a%2Fb", "/v1/records/alice/%C3%BC%20x/a%252Fb/.record"),
        ("alice/?#;", "/v1/records/alice/%3F%23%3B/.record"),
    ],
)
def test_each_part_of_an_address_is_encoded_once(prefix: str, address: str) -> None:
    """A name on disk is one part of the address, whatever characters it has."""
    assert client.record_address(prefix) == address
    assert client.file_address(address, "metrics/a%2Fb/x.jsonl") == f"{address}/metrics/a%252Fb/x.jsonl"


def test_what_does_not_answer_is_away() -> None:
    """A port without a server is an error with the address, a hint and exit code 6, and is unreachable."""
    with pytest.raises(RemoteError, match=r"127\.0\.0\.1:9 does not answer") as refused:
        client.Client("http://127.0.0.1:9", "secret-token", limit=1).hello()
    assert refused.value.exit_code == 6
    assert refused.value.is_unreachable
    assert refused.value.hint
    assert "secret-token" not in f"{refused.value!r}{refused.value.__cause__!r}"
