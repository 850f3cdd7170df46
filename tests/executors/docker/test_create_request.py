"""Containers that are created without the SDK: as it would create them, and answers that are broken off."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import tempfile
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from nemorun_cli.executors.docker import create_request
from nemorun_cli.executors.docker.client import DownError, Engine, NoSuchObjectError, RefusedError
from nemorun_cli.executors.docker.container import LOG_DRIVER

if TYPE_CHECKING:
    from pathlib import Path

    from engines.dockerd import Dockerd

IMAGE = {"image": "exp-test/busybox", "user": "1:1", "init": True}
PLAIN: dict[str, Any] = {
    **IMAGE,
    "mounts": [{"Type": "bind", "Source": "/usr", "Target": "/mnt", "ReadOnly": True}],
    "environment": {"A": "1=2", "B": "ü 'quoted' $A", "C": ""},
    "labels": {"own": "label"},
    "entrypoint": ["sh"],
    "command": ["-c", "true"],
    "stdin_open": True,
}
LIMITED: dict[str, Any] = {
    **IMAGE,
    "environment": {},
    "entrypoint": ["true"],
    "command": [],
    "working_dir": "/tmp",  # noqa: S108 - in the container
    "log_config": LOG_DRIVER,
    "network_mode": "none",
    "ipc_mode": "private",
    "privileged": True,
    "runtime": "runc",
    "shm_size": 1 << 20,
    "mem_limit": 64 << 20,
    "nano_cpus": 500_000_000,
}


@pytest.mark.parametrize("arguments", [PLAIN, LIMITED], ids=["plain", "limited"])
def test_a_container_is_the_one_that_the_sdk_would_create(
    docker_engine: Dockerd, arguments: dict[str, Any]
) -> None:
    """The engine describes both equally, except for what each container has of its own."""
    assert create_request.body(arguments) is not None
    engine = Engine(docker_engine.host)
    made: list[dict[str, Any]] = []
    try:
        for create in (engine.create, engine._create_by_sdk):
            name = f"exp-same-{os.getpid()}-{len(made)}"
            assert create({**arguments, "name": name}) is not None
            assert create({**arguments, "name": name}) is None
            made.append(engine.inspect(name))
            engine.remove(name)
            with pytest.raises(NoSuchObjectError, match="No such container"):
                engine.inspect(name)
    finally:
        engine.close()
    ours, theirs = ({**described["Config"], "Hostname": ""} for described in made)
    assert ours == theirs
    assert made[0]["HostConfig"] == made[1]["HostConfig"]
    assert made[0]["Mounts"] == made[1]["Mounts"]


@pytest.mark.parametrize(
    "more",
    [
        {"cap_add": ["SYS_PTRACE"]},
        {"mem_limit": "8g"},
        {"log_config": {"type": "none"}},
        {"network_mode": ""},
    ],
)
def test_other_arguments_are_for_the_sdk(more: dict[str, Any]) -> None:
    """An argument, or the form of a value, that the SDK translates is not guessed."""
    assert create_request.body({**PLAIN, **more}) is None


def test_the_proxies_of_docker_reach_a_container(
    docker_engine: Dockerd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What Docker's own configuration adds to containers is added."""
    proxies = {"proxies": {"default": {"httpProxy": "http://proxy:1"}}}
    (tmp_path / "config.json").write_text(json.dumps(proxies), encoding="utf-8")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    engine = Engine(docker_engine.host)
    name = f"exp-proxies-{os.getpid()}"
    try:
        engine.create({**PLAIN, "name": name})
        assert "HTTP_PROXY=http://proxy:1" in engine.inspect(name)["Config"]["Env"]
        engine.remove(name)
    finally:
        engine.close()


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        (b"", DownError, "closed the connection"),
        (b"HTTP/1.0 200 OK\r\n\r\n{", DownError, "broke off"),
        (b'HTTP/1.0 404 Not Found\r\n\r\n{"message": "no such thing"}', NoSuchObjectError, "no such thing"),
        (b"HTTP/1.0 500 Internal Server Error\r\n\r\noh", RefusedError, "status 500"),
    ],
    ids=["nothing", "half", "absent", "refused"],
)
def test_each_end_of_an_answer_is_one_of_three_errors(
    answer: bytes, error: type[Exception], message: str
) -> None:
    """An engine that stops while it answers is down; what it refuses is reported with its own words."""
    with (
        tempfile.TemporaryDirectory() as folder,
        socket.socket(socket.AF_UNIX) as server,
        ThreadPoolExecutor(1) as thread,
    ):
        server.bind(f"{folder}/sock")
        server.listen()
        thread.submit(_answer_once, server, answer)
        with pytest.raises(error, match=message):
            Engine(f"unix://{folder}/sock").inspect("some")


def _answer_once(server: socket.socket, answer: bytes) -> None:
    connection, _ = server.accept()
    with contextlib.closing(connection):
        connection.recv(65536)
        connection.sendall(answer)
