from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from nemorun_cli import dash
from nemorun_cli.dash.experiment import OperationMode
from nemorun_cli.tracking import Experiment, close_openings, ml_dash_experiment, record
from nemorun_cli.tracking.outbox import shipping

if TYPE_CHECKING:
    from pathlib import Path

    from support.programs import Program

URL = "http://127.0.0.1:9"  # nobody listens there
PREFIX = "alice/p/n"


@pytest.fixture(autouse=True)
def _in_task(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a task, where a program leaves markers to the sender of its supervisor and starts none."""
    monkeypatch.setenv("EXP_TASK", "train")


def markers(root: Path) -> list[dict[str, Any]]:
    """The markers in all outboxes of a folder of records, and the names of their servers."""
    return [
        {
            **json.loads(path.read_text()),
            "url": json.loads((path.parents[1] / "server.json").read_text())["url"],
        }
        for path in sorted(root.glob(".outbox/*/pending/*.json"))
    ]


def test_a_program_in_a_task_marks_and_starts_nothing(root: Path, program: Program) -> None:
    """In a task the record is marked for the server, and neither a process nor a socket is opened."""
    text = f"""
    def refuse(event, arguments):
        if event.startswith(('socket.', 'subprocess.', 'os.posix_spawn', 'os.fork', 'os.exec')):
            os._exit(9)
    sys.addaudithook(refuse)
    with Experiment('{PREFIX}', dash_root=root, dash_url='{URL}').run as e:
        e.metrics('m').log(x=1)
    """
    program.run(text)
    assert {(marker["prefix"], marker["url"]) for marker in markers(root)} == {(PREFIX, URL)}
    found = record(root, PREFIX)
    assert found is not None
    assert found.status == "COMPLETED"
    assert found.openings[0].facts["dash_url"] == URL


def test_the_server_of_the_task_is_the_default(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`$EXP_TRACKING_URL` is the server of programs in a task that name none; `dash_url=False` is none."""
    monkeypatch.setenv("EXP_TRACKING_URL", f"{URL}/")
    assert Experiment(PREFIX, dash_root=root).dash_url == URL
    assert Experiment(PREFIX, dash_root=root, dash_url=False).dash_url is None
    assert Experiment(PREFIX, dash_root=root, dash_url=True).dash_url == URL
    monkeypatch.delenv("EXP_TASK")
    assert Experiment(PREFIX, dash_root=root).dash_url is None


def test_the_default_of_a_task_ends_no_program(
    root: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A prefix that cannot be on the server of the task stays on this machine, as one line reports."""
    monkeypatch.setenv("EXP_TRACKING_URL", URL)
    monkeypatch.setattr(shipping, "_has_spoken", False)
    for _ in range(2):
        with Experiment("alone", dash_root=root).run as experiment:
            experiment.metrics("m").log(x=1)
    assert not (root / ".outbox").exists()
    assert capfd.readouterr().err.count("stays on this machine") == 1


def test_each_style_marks(root: Path) -> None:
    """Context manager, decorator and direct calls, here and with ML-Dash's names, all mark their record."""
    arguments: dict[str, Any] = {"dash_root": root, "dash_url": URL}
    with Experiment("a/with/x", **arguments).run:
        pass
    Experiment("a/direct/x", **arguments).run.start().run.complete()
    ml_dash_experiment("a/decorator/x", **arguments)(lambda: None)()
    with dash.Experiment("a/dash/x", **arguments).run:
        pass
    dash.ml_dash_experiment("a/dash/y", **arguments)(lambda: None)()
    prefixes = {"a/with/x", "a/direct/x", "a/decorator/x", "a/dash/x", "a/dash/y"}
    assert {marker["prefix"] for marker in markers(root)} == prefixes


def test_the_roots_of_the_modes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without `dash_root` records are in `.dash`; with None and a server, outside of a task, in the home."""
    assert Experiment(PREFIX, dash_url=URL, dash_root=None).dash_root == str(tmp_path / ".dash")
    monkeypatch.delenv("EXP_TASK")
    kept = str(tmp_path / "home" / "outbox" / "http%3A%2F%2F127%2E0%2E0%2E1%3A9" / "records").replace(
        "%2E", "."
    )
    assert Experiment(PREFIX, dash_url=URL, dash_root=None).dash_root == kept
    assert Experiment(PREFIX, dash_url=URL).dash_root == str(tmp_path / ".dash")
    assert Experiment(PREFIX, dash_root=None).dash_root == str(tmp_path / ".dash")
    modes = [dash.Experiment(PREFIX, **given).mode for given in ({}, {"dash_url": URL})]  # type: ignore[arg-type] # mixed
    assert modes == [OperationMode.LOCAL, OperationMode.HYBRID]
    assert dash.Experiment(PREFIX, dash_url=URL, dash_root=None).mode is OperationMode.REMOTE


def test_a_later_change_marks_again(root: Path) -> None:
    """Tags, notes and verdicts that come after the end are marked for the server that the opening names."""
    with Experiment(PREFIX, dash_root=root, dash_url=URL).run as experiment:
        pass

    def is_marked() -> bool:
        paths = list(root.glob(".outbox/*/pending/*.json"))
        for path in paths:
            path.unlink()  # as a sender does
        return bool(paths)

    assert is_marked()
    assert not is_marked()
    experiment.tag("best")
    assert is_marked()
    found = record(root, PREFIX)
    assert found is not None
    found.note("kept")
    assert is_marked()
    close_openings(root, PREFIX, exp_id=None, status="FAILED", author="user")
    assert is_marked()


def test_off_ships_nothing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `EXP_TRACKING=off` a server gets nothing, and its address is checked nevertheless."""
    monkeypatch.setenv("EXP_TRACKING", "off")
    monkeypatch.delenv("EXP_TASK")
    with Experiment(PREFIX, dash_root=root, dash_url=URL).run as experiment:
        experiment.metrics("m").log(x=1)
        assert experiment.sync() is True
    assert experiment.dash_url is None
    assert not root.exists()
    with pytest.raises(ValueError, match="dash_url"):
        Experiment(PREFIX, dash_url="nowhere")


def test_a_forked_child_and_a_copy_mark_nothing_of_their_own(root: Path, program: Program) -> None:
    """A forked child writes to the record of its parent, whose markers are enough."""
    text = f"""
    e = Experiment('{PREFIX}', dash_root=root, dash_url='{URL}').run.start()
    if os.fork() == 0:
        e.metrics('m').log(x=1)
        e.run.complete()
        os._exit(0)
    os.wait()
    e.run.complete()
    """
    program.run(text)
    assert (
        sorted(marker["opening"] for marker in markers(root))
        == [path.stem for path in (root / PREFIX / ".record/openings").iterdir()] * 2
    )
