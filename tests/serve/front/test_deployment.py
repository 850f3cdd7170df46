"""The examples for administrators: a unit of systemd, a proxy, and an image."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from conftest import eventually
from support.nginx_proxy import NAME, nginx_proxy
from support.served import EXP, served

import nemorun_cli

if TYPE_CHECKING:
    from engines.dockerd import Dockerd

EXAMPLES = Path(__file__).parents[3] / "examples" / "serve"
INSTALL = Path(__file__).parents[2] / "engines" / "install.sh"
TIMEOUT = 60  # seconds
SCRATCH = "/tmp"  # noqa: S108 - of the container
ASK = """
import urllib.request
print(urllib.request.urlopen("http://127.0.0.1:8300/v1/hello", timeout=5).read().decode())
"""


def test_the_unit_is_sound(tmp_path: Path) -> None:
    """Systemd accepts the unit, and rates what the service could do as little."""
    if not shutil.which("systemd-analyze") and os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run([INSTALL, "systemd"], check=True, timeout=300)
    if not shutil.which("systemd-analyze"):
        pytest.skip("THE UNIT IS NOT TESTED: there is no systemd-analyze, which root on a Debian installs")
    unit = tmp_path / "exp-serve.service"
    text = (EXAMPLES / unit.name).read_text(encoding="utf-8")
    unit.write_text(text.replace("/opt/exp/bin/exp", EXP), encoding="utf-8")
    verified = subprocess.run(
        ["systemd-analyze", "verify", unit], capture_output=True, text=True, timeout=TIMEOUT, check=False
    )
    assert (verified.returncode, verified.stderr) == (0, "")
    started = re.search(r"^ExecStart=(.*)$", text, re.MULTILINE)
    assert started is not None
    assert "--quiet" in started[1]  # no address that signs in is in the journal


def test_the_proxy_passes_everything_on(tmp_path: Path) -> None:
    """Behind the example's nginx, paths arrive unchanged, and addresses have the proxy's name and scheme."""
    with (
        served(tmp_path, "--behind-proxy", "--allowed-host", NAME) as server,
        nginx_proxy(tmp_path, server.port) as proxy,
    ):
        token = server.add_token()
        connection = proxy.connect()
        assert server.url == f"https://{NAME}"
        assert server.ask("GET", "/v1/hello", connection=connection).json["server"] == "exp"
        start = {"client_id": "exp", "device_secret_hash": hashlib.sha256(b"x").hexdigest()}
        started = server.ask(
            "POST", "/api/device/start", body=json.dumps(start).encode(), connection=connection
        )
        assert started.json["verification_uri"] == f"https://{NAME}/device"
        path = "/v1/records/alice/a/.record/metrics/train%252Floss/1-1-a.jsonl"
        row = b'{"step": 1}\n' * 1000
        appended = server.ask(
            "PATCH", path, token=token, headers={"Upload-Offset": "0"}, body=row, connection=connection
        )
        assert appended.status == 200, appended
        stored = server.own.parent / "alice/a/.record/metrics/train%2Floss/1-1-a.jsonl"
        assert stored.read_bytes() == row
        assert server.ask("GET", path, token=token, connection=connection).body == row
        connection.close()


def entrypoint(text: str) -> list[str]:
    """The command of a Dockerfile."""
    found = re.search(r"^ENTRYPOINT (\[.*\])$", text, re.MULTILINE)
    assert found is not None
    return [str(word) for word in json.loads(found[1])]


@pytest.mark.engine
def test_the_image_serves(docker_engine: Dockerd, tmp_path: Path) -> None:
    """The command of the image serves as its user on a read-only root, and ends when it is stopped."""
    text = (EXAMPLES / "Dockerfile").read_text(encoding="utf-8")
    user = re.search(r"^USER (\d+):(\d+)$", text, re.MULTILINE)
    assert user is not None
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    os.chown(data, int(user[1]), int(user[2]))
    program, *arguments = entrypoint(text)
    assert program == "exp"
    package, site = Path(nemorun_cli.__file__).parent, sysconfig.get_paths()["purelib"]
    docker = ["docker", "--host", docker_engine.host]
    options = ["--init", "--read-only", f"--tmpfs={SCRATCH}", "--cap-drop", "ALL", "--network", "none"]
    options += ["--security-opt", "no-new-privileges", "--user", f"{user[1]}:{user[2]}"]
    options += ["--volume", f"{data}:/srv/exp", "--volume", f"{site}:/lib/site:ro"]
    options += ["--volume", f"{package}:/lib/own/nemorun_cli:ro", "--env", "PYTHONPATH=/lib/own:/lib/site"]
    options += ["--volume", f"{package.parent / 'schemas'}:/lib/own/schemas:ro"]
    options += ["--env", f"NEMORUN_HOME={SCRATCH}/exp", "--env", "PYTHONDONTWRITEBYTECODE=1"]
    command = ["python3", "-m", "nemorun_cli", *arguments]
    name = f"exp-serve-{os.getpid()}"
    run([*docker, "run", "--detach", "--name", name, *options, "exp-test/python", *command])
    try:
        eventually(lambda: asked(docker, name) is not None)
        assert json.loads(asked(docker, name) or "")["server"] == "exp"
        run([*docker, "stop", "--time", "10", name])
        state = run([*docker, "inspect", "--format", "{{.State.ExitCode}}", name])
        assert state.strip() == "0"
        assert (data / ".server").is_dir()
    finally:
        subprocess.run([*docker, "rm", "--force", name], capture_output=True, timeout=TIMEOUT, check=False)


def asked(docker: list[str], name: str) -> str | None:
    """What the server in the container answers; None while it does not."""
    done = subprocess.run(
        [*docker, "exec", name, "python3", "-c", ASK],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    return done.stdout if done.returncode == 0 else None


def run(argv: list[str]) -> str:
    """Run a command, and return what it prints."""
    done = subprocess.run(argv, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
