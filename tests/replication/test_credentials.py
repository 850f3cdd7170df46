"""The tokens of a user: where they are kept, and which server gets which."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
from support.patience import eventually

from nemorun_cli.errors import UntrustedError, UsageError
from nemorun_cli.replication import credentials, keyring_client, keyring_process
from nemorun_cli.replication.credentials import Credential

if TYPE_CHECKING:
    from collections.abc import Iterator

ONE, OTHER = "https://one.example", "https://other.example:8443/exp"
INSTALL = Path(__file__).parents[1] / "engines" / "install.sh"
NO_KEYRING = "keyring.backends.fail.Keyring"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without logins, on a machine without a keyring."""
    for name in ("EXP_TOKEN", "EXP_TOKEN_FILE", "EXP_DASH_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NEMORUN_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", NO_KEYRING)
    return tmp_path / "home"


@pytest.fixture
def no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """No keyring is asked, which saves a process where that is not the rule."""
    answer = keyring_client.KeyringAnswer(keyring_process.NO_KEYRING, reason="this machine has no keyring")
    monkeypatch.setattr(keyring_client, "_ask", lambda *_, **__: answer)


@pytest.mark.usefixtures("no_process")
def test_each_server_gets_its_own_token() -> None:
    """With two logins each server gets the token that was made for it, and any other server none."""
    credentials.store(ONE, "exp_one", user="alice")
    credentials.store(OTHER, "exp_other", user="bob")
    assert credentials.token_for("https://ONE.example:443/") == Credential("exp_one", "alice", "file", ONE)
    assert credentials.token_for(OTHER) == Credential("exp_other", "bob", "file", OTHER)
    for url in (
        "https://one.example:8443",
        "https://other.example:8443",
        "https://one.example/exp",
        "http://one.example",
    ):
        assert credentials.token_for(url) is None
    assert credentials.default() == OTHER
    assert credentials.forget(OTHER)
    assert not credentials.forget(OTHER)
    assert credentials.token_for(OTHER) is None
    assert credentials.default() == ONE


@pytest.mark.usefixtures("no_process")
def test_the_environment_is_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """EXP_TOKEN, then EXP_TOKEN_FILE, is used instead of a login, for the server of EXP_DASH_URL alone."""
    credentials.store(ONE, "exp_stored", user="alice")
    credentials.store(OTHER, "exp_other", user="bob")
    (tmp_path / "token").write_text("exp_of_file\n")
    monkeypatch.setenv("EXP_TOKEN_FILE", str(tmp_path / "token"))
    assert credentials.token_for(ONE) == Credential("exp_stored", "alice", "file", ONE)
    monkeypatch.setenv("EXP_DASH_URL", f"{ONE}/")
    assert credentials.token_for(ONE) == Credential("exp_of_file", None, "EXP_TOKEN_FILE", ONE)
    monkeypatch.setenv("EXP_TOKEN", "exp_given")
    assert credentials.token_for(ONE) == Credential("exp_given", None, "EXP_TOKEN", ONE)
    assert credentials.token_for(OTHER) == Credential("exp_other", "bob", "file", OTHER)
    assert credentials.token_for("https://third.example") is None
    assert f"EXP_TOKEN holds for {ONE}" in str(credentials.missing("https://third.example"))
    assert credentials.default() == ONE


def test_a_file_of_a_token_has_to_be_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What cannot be read, or is no token, is an error that does not repeat it."""
    monkeypatch.setenv("EXP_DASH_URL", ONE)
    secret = tmp_path / "token"
    monkeypatch.setenv("EXP_TOKEN_FILE", str(secret))
    with pytest.raises(UsageError, match="No such file"):
        credentials.token_for(ONE)
    for content in (b"", b"two words", b"\xff\xfe", b"x" * 5000):
        secret.write_bytes(content)
        with pytest.raises(UsageError, match="EXP_TOKEN_FILE") as error:
            credentials.token_for(ONE)
        assert "two words" not in str(error.value)
    secret.unlink()
    os.mkfifo(secret)
    with pytest.raises(UsageError, match="regular file"):
        credentials.token_for(ONE)


@pytest.mark.usefixtures("no_process")
def test_without_tls_a_token_is_sent_only_if_that_was_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over http no token goes to another machine, that of EXP_TOKEN included, unless a login accepts it."""
    url = "http://10.0.0.1:8300"
    monkeypatch.setenv("EXP_DASH_URL", url)
    monkeypatch.setenv("EXP_TOKEN", "exp_given")
    assert credentials.token_for(url) is None
    assert "without TLS" in str(credentials.missing(url))
    assert credentials.missing(url).hint == f"exp login {url} --insecure"
    monkeypatch.delenv("EXP_TOKEN")
    credentials.store(url, "exp_stored", user="alice")
    assert credentials.token_for(url) is None
    credentials.store(url, "exp_stored", user="alice", insecure=True)
    assert credentials.token_for(url) == Credential("exp_stored", "alice", "file", url)


def test_the_file_is_private_from_its_first_byte(home: Path) -> None:
    """Under the umask 0 no file with a token is created with another mode than 0600."""
    script = f"""
import os
os.umask(0)
original = os.open
def checked(path, flags, mode=0o777, **more):
    assert not flags & os.O_CREAT or mode == 0o600, (path, oct(mode))
    return original(path, flags, mode, **more)
os.open = checked
from nemorun_cli.replication import credentials
assert credentials.store({ONE!r}, "exp_one", user="alice").reason == "this machine has no keyring"
"""
    subprocess.run([sys.executable, "-c", script], check=True)
    modes = {path.name: path.stat().st_mode & 0o777 for path in home.iterdir()}
    assert modes == {"logins.json": 0o600, "logins.json.lock": 0o600}
    assert home.stat().st_mode & 0o777 == 0o700


@pytest.mark.usefixtures("no_process")
def test_a_file_that_others_can_read_is_not_used(home: Path) -> None:
    """A file of logins with another mode is refused, with the remedy."""
    credentials.store(ONE, "exp_one", user="alice")
    (home / "logins.json").chmod(0o640)
    with pytest.raises(UntrustedError, match="other users may read it") as error:
        credentials.token_for(ONE)
    assert error.value.hint == f"chmod 600 {home}/logins.json"


def test_a_credential_does_not_show_its_token() -> None:
    """What is logged of a credential has no token in it."""
    assert "secret" not in f"{Credential('exp_secret', 'alice', 'file', ONE)}"


@pytest.mark.parametrize(
    ("backend", "reason"),
    [
        ("null.Keyring", "does not keep what it is given"),
        ("broken_keyring.Raises", "OSError: the bus"),
        ("broken_keyring.Ends", "ended with 3"),
        ("broken_keyring.Waits", "did not answer within"),
    ],
)
def test_a_broken_keyring_is_replaced_by_the_file(
    backend: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backend that forgets, raises, ends its process or waits forever costs no login: the file is used."""
    (tmp_path / "broken_keyring.py").write_text(
        """
import os, time
from keyring.backend import KeyringBackend
class Raises(KeyringBackend):
    priority = 1
    def act(self, *_):
        raise OSError("the bus is on strike")
    get_password = set_password = delete_password = act
class Ends(Raises):
    def act(self, *_):
        os._exit(3)
    get_password = set_password = delete_password = act
class Waits(Raises):
    def act(self, *_):
        time.sleep(600)
    get_password = set_password = delete_password = act
"""
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    if backend.endswith("Waits"):
        monkeypatch.setattr(keyring_client, "PATIENCE", 0.5)
        monkeypatch.setattr(keyring_client, "LONG_PATIENCE", 0.5)
    name = f"keyring.backends.{backend}" if backend.startswith("null") else backend
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", name)
    stored = credentials.store(ONE, "exp_one", user="alice")
    assert stored.source == "file"
    assert reason in stored.reason
    found = credentials.token_for(ONE)
    assert found
    assert found.source == "file"


UNLOCKED = "printf password | gnome-keyring-daemon --unlock --components=secrets > /dev/null 2>&1"
LOCKED = "gnome-keyring-daemon --start --components=secrets > /dev/null 2>&1"
USER = """
from nemorun_cli.replication import credentials
one, other = "https://one.example", "https://other.example:8443/exp"
def token(url):
    found = credentials.token_for(url)
    return found and (found.token, found.user, found.source)
"""
STORING = """
assert credentials.store(one, "exp_one", user="alice").source == "keyring"
assert credentials.store(other, "exp_other", user="bob").source == "keyring"
assert token(one) == ("exp_one", "alice", "keyring"), token(one)
assert token(other) == ("exp_other", "bob", "keyring"), token(other)
assert credentials.forget(other) and token(other) is None
"""
BEING_LOCKED = """
assert token(one) is None
print(credentials.missing(one))
stored = credentials.store(one, "exp_again", user="alice")
assert (stored.source, token(one)) == ("file", ("exp_again", "alice", "file"))
print(stored.reason)
"""


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The environment of a session with a message bus, and a keyring of its own."""
    if not (shutil.which("gnome-keyring-daemon") and shutil.which("dbus-run-session")) and os.geteuid() == 0:
        subprocess.run([INSTALL, "keyring"], check=True, timeout=300)
    if not shutil.which("gnome-keyring-daemon"):
        pytest.skip("A KEYRING IS NOT TESTED: there is no gnome-keyring, which root on a Debian installs")
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "PYTHON_KEYRING_BACKEND", "DBUS_SESSION_BUS_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "run").mkdir(mode=0o700)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    yield
    eventually(lambda: not _of(tmp_path))


def _of(home: Path) -> list[int]:
    """The processes with this home, without the test's own: daemons end with their message bus."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid != os.getpid() and process.environ().get("HOME") == str(home):
                found.append(process.pid)
    return found


def in_session(keyring: str, program: str) -> str:
    """Run a program in a session with a keyring; returns what it prints."""
    argv = ["dbus-run-session", "--", "bash", "-c", f'{keyring}; "$0" -c "$1"', sys.executable]
    done = subprocess.run([*argv, USER + program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.usefixtures("session")
def test_a_keyring_keeps_the_tokens(home: Path) -> None:
    """Where a keyring exists, tokens are in it alone; one that is locked later is reported, and replaced."""
    in_session(UNLOCKED, STORING)
    stored = (home / "logins.json").read_text()
    assert "exp_one" not in stored
    assert "exp_other" not in stored
    printed = in_session(LOCKED, BEING_LOCKED)
    assert printed.count("the keyring is locked") == 2
