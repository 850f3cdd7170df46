from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from nemorun_cli.errors import InvalidValueError
from nemorun_cli.tracking import Experiment
from nemorun_cli.tracking.outbox import addresses, logins

if TYPE_CHECKING:
    from pathlib import Path

PREFIX = "alice/p/n"


@pytest.mark.parametrize(
    ("given", "normal"),
    [
        ("https://exp.example.org", "https://exp.example.org"),
        ("HTTPS://Exp.Example.ORG:443/", "https://exp.example.org"),
        ("http://127.0.0.1:8000//", "http://127.0.0.1:8000"),
        ("http://127.0.0.1:8000//a", None),
        ("http://127.0.0.1:80/team/", "http://127.0.0.1/team"),
        ("http://[::1]:8000", "http://[::1]:8000"),
        ("exp.example.org", None),
        ("ftp://exp.example.org", None),
        ("https://", None),
        ("https://alice:secret@exp.example.org", None),
        ("https://exp.example.org?x=1", None),
        ("https://exp.example.org#t", None),
        ("https://exp.example.org:0x50", None),
        ("https://exp.example.org:99999", None),
        ("https://a b", None),
        ("https://exp.example.org/../x", None),
        ("https://" + "a" * 300, None),
    ],
)
def test_an_address_has_one_form_or_is_refused_at_once(given: str, normal: str | None) -> None:
    """An address is used without case, default port and last slash; what is none is refused."""
    if normal is not None:
        assert Experiment(PREFIX, dash_url=given).dash_url == normal
        return
    with pytest.raises(InvalidValueError, match=r"dash_url|too long") as refused:
        Experiment(PREFIX, dash_url=given)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("odd", [7, ["https://a"], b"https://a", object()])
def test_what_is_no_text_is_a_type_error(odd: Any) -> None:
    """`dash_url` is an address or True; anything else is a TypeError."""
    with pytest.raises(TypeError, match="dash_url"):
        Experiment(PREFIX, dash_url=odd)


def test_true_is_the_variable_before_the_latest_login(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`dash_url=True` is `$EXP_DASH_URL`, else the server of the latest login; without both, an error."""
    with pytest.raises(InvalidValueError, match="no server is known: there was no login, and EXP_DASH_URL"):
        Experiment(PREFIX, dash_url=True)
    _log_in(tmp_path / "home", "https://login.example.org", "alice")
    assert Experiment(PREFIX, dash_url=True).dash_url == "https://login.example.org"
    monkeypatch.setenv("EXP_DASH_URL", "https://variable.example.org/")
    assert Experiment(PREFIX, dash_url=True).dash_url == "https://variable.example.org"


def test_the_variable_alone_sends_nothing(monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
    """`$EXP_DASH_URL` is the server of `True`; a program that names no server is not sent anywhere."""
    monkeypatch.setenv("EXP_DASH_URL", "https://exp.example.org")
    with Experiment(PREFIX, dash_root=root).run as record:
        assert record.dash_url is None
    assert not (root / ".outbox").exists()


@pytest.mark.parametrize("prefix", ["alone", *(f"{name}/a" for name in addresses.RESERVED)])
def test_a_prefix_that_no_server_can_have_is_refused(prefix: str) -> None:
    """With a server, a prefix has an owner, and no reserved first part; a later one is checked as well."""
    with pytest.raises(InvalidValueError, match=r"owner|reserved"):
        Experiment(prefix, dash_url="https://exp.example.org")
    later = Experiment(PREFIX, dash_url="https://exp.example.org")
    with pytest.raises(InvalidValueError, match=r"owner|reserved"):
        later.run.prefix = prefix
    assert later.prefix == PREFIX


def test_a_file_of_logins_that_others_may_write_is_not_read(tmp_path: Path) -> None:
    """Who may write the file of logins could choose where records go: such a file names no server."""
    path = _log_in(tmp_path / "home", "https://login.example.org", "alice")
    assert logins.default_url() == "https://login.example.org"
    path.chmod(0o666)
    assert logins.default_url() is None


def _log_in(home: Path, url: str, user: str) -> Path:
    home.mkdir(exist_ok=True)
    path = home / "logins.json"
    content = {"format": "exp.logins/1", "servers": {url: {"user": user}}, "default": url}
    path.write_text(json.dumps(content))
    path.chmod(0o600)
    return path
