"""The server that a spec names, and what it gets."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from nemorun_cli.errors import SpecError
from nemorun_cli.model.spec import Identity
from nemorun_cli.spec import load
from nemorun_cli.storage import stored_spec

if TYPE_CHECKING:
    from pathlib import Path

    from nemorun_cli.model.spec import Spec

IDENTITY = Identity("x_1", "x", "/experiments/x/x_1")
TASK = "tasks: {a: {inline: ':'}}"


@pytest.fixture(autouse=True)
def _no_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("EXP_DASH_URL", "EXP_TASK", "EXP_TRACKING_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NEMORUN_HOME", str(tmp_path / "home"))


def _read(folder: Path, tracking: str, more: str = "", **options: Any) -> Spec:
    path = folder / "spec.yaml"
    path.write_text(f"{TASK}\ntracking: {tracking}\n{more}\n")
    return load.resolve(load.read(path, **options), IDENTITY)


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ("https://exp.example.org", "https://exp.example.org"),
        ("HTTPS://Exp.Example.org:443/lab/", "https://exp.example.org/lab"),
        ("http://127.0.0.1:8000/", "http://127.0.0.1:8000"),
    ],
)
def test_the_address_has_one_form(tmp_path: Path, given: str, address: str) -> None:
    """The resolved spec has the address that records, outboxes and tokens are compared by."""
    assert _read(tmp_path, f"{{dash_url: '{given}'}}").server == address


def test_the_address_can_be_a_param_and_can_be_set(tmp_path: Path) -> None:
    """`dash_url` takes `${{ … }}`, `-p` and `--set`, as `dash_root` does."""
    spec = _read(
        tmp_path, "{dash_url: '${{ params.url }}'}", "params: {url: 'https://a'}", params=["url=https://b"]
    )
    assert spec.server == "https://b"
    assert _read(tmp_path, "{}", sets=["tracking.dash_url=https://c"]).server == "https://c"


def test_true_is_the_server_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`dash_url: true` is `$EXP_DASH_URL`; without one, and without a login, it is a problem."""
    monkeypatch.setenv("EXP_DASH_URL", "https://lab.example.org/")
    assert _read(tmp_path, "{dash_url: true}").server == "https://lab.example.org"
    monkeypatch.delenv("EXP_DASH_URL")
    with pytest.raises(SpecError, match=r"tracking\.dash_url: no server is known"):
        _read(tmp_path, "{dash_url: true}")


def test_false_is_no_server(tmp_path: Path) -> None:
    """`dash_url: false` removes the server of a spec that is extended."""
    assert _read(tmp_path, "{dash_url: false}").tracking == {}


@pytest.mark.parametrize(
    "given",
    ["exp.example.org", "ftp://exp.example.org", "https://", "https://a b", "https://a:99999", "''", "7"],
)
def test_what_is_no_address_is_a_problem_at_its_place(tmp_path: Path, given: str) -> None:
    """A wrong address is refused before anything runs."""
    with pytest.raises(SpecError, match=r"spec\.yaml:2:\d+: tracking\.dash_url: "):
        _read(tmp_path, f"{{dash_url: {given}}}")


def test_a_password_in_the_address_is_not_repeated(tmp_path: Path) -> None:
    """The message about a password does not contain it."""
    with pytest.raises(SpecError) as caught:
        _read(tmp_path, "{dash_url: 'https://me:hunter2@exp.example.org'}")
    (problem,) = caught.value.problems
    assert "password" in problem.message
    assert "hunter2" not in f"{problem.message} {problem.hint}"


@pytest.mark.parametrize("key", ["logs", "spec", "code"])
def test_a_setting_without_a_server_is_a_problem(tmp_path: Path, key: str) -> None:
    """What has no effect is not accepted; false has none anyway."""
    with pytest.raises(SpecError, match=rf"tracking\.{key}: has no effect without dash_url"):
        _read(tmp_path, f"{{{key}: true}}")
    assert _read(tmp_path, f"{{{key}: false}}").tracking == {}


def test_settings_are_kept_in_the_resolved_spec(tmp_path: Path) -> None:
    """What is sent is decided when the experiment is created, and a resume reads it."""
    spec = _read(tmp_path, "{dash_url: 'https://a', logs: true, spec: true, code: true}")
    assert spec.tracking == {"dash_url": "https://a", "logs": True, "spec": True, "code": True}
    assert stored_spec.problem(json.loads(json.dumps(spec.to_json())), tmp_path) is None


@pytest.mark.parametrize("prefix", ["alone", ".server/x", ".trash/x"])
def test_a_prefix_that_no_server_takes_is_a_problem(tmp_path: Path, prefix: str) -> None:
    """On a server the first part of a prefix is its owner."""
    with pytest.raises(SpecError, match="prefix: cannot be on a server"):
        _read(tmp_path, "{dash_url: 'https://a'}", f"prefix: '{prefix}'")
    assert _read(tmp_path, "{}", "prefix: alone").prefix == "alone"


@pytest.mark.parametrize("name", ["EXP_TOKEN", "EXP_TOKEN_FILE"])
def test_a_token_is_no_secret_of_a_task(tmp_path: Path, name: str) -> None:
    """Tokens never reach tasks, also if a spec asks for it."""
    with pytest.raises(SpecError, match=r"secrets\.X\.env: must be .*never reach tasks"):
        _read(tmp_path, "{}", f"secrets: {{X: {{env: {name}}}}}")
    _read(tmp_path, "{}", "secrets: {X: {env: EXP_TOKENS}}")
