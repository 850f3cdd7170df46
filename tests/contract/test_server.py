"""What tasks record reaches a server from each executor, and no task gets a token."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from support.copied_packages import PACKAGE
from support.senders import end_senders
from support.served import Served, served

from nemorun_cli.contract.fixtures import eventually
from nemorun_cli.replication.experiment_source import name_of_home

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from nemorun_cli.contract.fixtures import Workspace

USER = "alice"
PROGRAM = """
import os, pathlib, time
from nemorun_cli import Experiment

with Experiment().run as record:
    record.metrics("train").log(loss=0.5)
    variables = {name: value for name, value in os.environ.items() if name.startswith("EXP_")}
    pathlib.Path("seen").write_text(repr(variables))
    while not os.path.exists("go"):
        time.sleep(0.02)
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that collects."""
    with served(tmp_path_factory.mktemp("server")) as running:
        yield running


def test_records_and_ledgers_arrive_and_no_task_has_a_token(
    workspace: Workspace, server: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The supervisor's host sends with the token of who ran `exp run`; the task's side has no trace of it."""
    # With what was compiled: an interpreter there is that of the tests.
    shutil.copytree(PACKAGE, workspace.folder / PACKAGE.name)
    token = server.add_token(USER)
    home = workspace.home.directory
    prefix = f"{USER}/{workspace.subject.name.replace(' ', '-')}"
    with monkeypatch.context() as patch:
        patch.setenv("EXP_TOKEN", token)
        patch.setenv("EXP_DASH_URL", server.url)
        patch.setenv("EXP_SENDER_LINGER", "6")
        run = workspace.start(
            {
                "one": {
                    "inline": PROGRAM,
                    "entrypoint": "python3",
                    "env": {"PYTHONPATH": str(workspace.folder)},
                }
            },
            tracking={"dash_url": True},
            prefix=prefix,
        )
    try:
        eventually((workspace.folder / "seen").exists)
        assert f"'EXP_TRACKING_URL': '{server.url}'" in eventually((workspace.folder / "seen").read_text)
        assert token.encode() not in _seen_by_tasks(workspace)
        workspace.touch("go")
        assert run.wait(timeout=60).history.tasks["one"].status == "SUCCEEDED", _log(run.files.directory)
        outboxes = [home / "outbox", home / "dash" / ".outbox"]
        eventually(lambda: not [marker for box in outboxes for marker in box.glob("*/pending/*.json")])
    finally:
        workspace.touch("go")
        end_senders(home)
    root = server.own.parent
    replica = root / ".experiments" / USER / name_of_home(workspace.home) / "experiments" / "tried" / run.id
    assert (replica / "ledger.jsonl").read_bytes() == run.files.ledger.read_bytes()
    (rows,) = (root / prefix / "one" / ".record" / "metrics" / "train").iterdir()
    assert b'"loss":0.5' in rows.read_bytes().replace(b" ", b"")
    assert list((root / prefix / "one" / ".record" / "openings").glob("*.verdict.json"))
    assert not [path for path in root.rglob("*") if path.is_file() and token.encode() in path.read_bytes()]


def _seen_by_tasks(workspace: Workspace) -> bytes:
    """All that a task could read: its files, what the engine shows, command lines, and its environment."""
    texts = [workspace.subject.shown(workspace.home.directory).encode()]
    for folder in (workspace.home.directory, workspace.folder):
        texts += [path.read_bytes() for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    texts += [" ".join(process.info["cmdline"] or ()).encode() for process in workspace.processes()]
    tasks = workspace.processes(marked="EXP_TASK")
    texts += [repr(process.environ()).encode() for process in tasks if process.is_running()]
    return b"\n".join(texts)


def _log(directory: Path) -> str:
    return next(directory.glob("tasks/one/*/log")).read_text()
