from __future__ import annotations

import json
import signal
import subprocess
from typing import TYPE_CHECKING

from support.patience import eventually
from support.workspace import kill_supervisor, until

if TYPE_CHECKING:
    from support.workspace import Exp, ExpWorkspace


def test_events_are_json_lines(exp: Exp) -> None:
    """With --json each event is a document of its own, in the order of the ledger."""
    exp("run", exp.spec("name: a\ntasks: {one: {command: [echo]}}"))
    events = [json.loads(line) for line in exp("events", "latest", "--json").stdout.splitlines()]
    assert {event["schema"] for event in events} == {"exp.events/1"}
    kinds = ["created", "supervisor_started", "submitted", "started", "ended", "finished", "supervisor_ended"]
    assert [event["event"] for event in events] == kinds


def test_events_are_readable(exp: Exp) -> None:
    """Without --json each event is a line with its time, what happened, and to what."""
    exp("run", exp.spec("name: a\ntasks: {one: {inline: exit 3}}"), code=1)
    lines = exp("events", "latest").stdout.splitlines()
    (ended,) = (line for line in lines if "  ended " in line)
    assert "one  attempt 1, FAILED, exit, exit code 3" in ended
    assert lines[0].split()[1] == "created"
    assert "(exp run)" in lines[0]


def test_events_follow_until_it_is_over(workspace: ExpWorkspace) -> None:
    """With -f events come as they happen, and the command ends after the last one."""
    run = workspace.start({"slow": until("go")})
    with workspace.exp.start("events", run.id, "-f", "--json") as following:
        assert following.stdout is not None
        seen = [json.loads(following.stdout.readline())["event"]]
        while seen[-1] != "started":
            seen.append(json.loads(following.stdout.readline())["event"])
        workspace.touch("go")
        rest, _ = following.communicate(timeout=60)
    assert following.returncode == 0
    seen += [json.loads(line)["event"] for line in rest.splitlines()]
    assert seen[-3:] == ["ended", "finished", "supervisor_ended"]


def test_events_follow_ends_when_nothing_can_come(workspace: ExpWorkspace) -> None:
    """Following an experiment that is interrupted ends, for nobody writes to its ledger."""
    run = workspace.start({"slow": until("go"), "below": {"command": "echo", "dependencies": ["slow"]}})
    eventually(lambda: workspace.exp.task("slow")["status"] == "RUNNING")
    kill_supervisor(run)
    with workspace.exp.start("events", run.id, "-f", "--json") as following:
        workspace.touch("go")
        rest, _ = following.communicate(timeout=60)
    assert following.returncode == 0
    assert "ended" in [json.loads(line)["event"] for line in rest.splitlines()]
    assert workspace.exp.status(run.id)["status"] == "INTERRUPTED"


def test_events_follow_can_be_interrupted(workspace: ExpWorkspace) -> None:
    """Ctrl-C ends the following with 130, and the experiment goes on."""
    run = workspace.start({"slow": until("go")})
    with workspace.exp.start("events", run.id, "-f") as following:
        assert following.stdout is not None
        assert "created" in following.stdout.readline()
        following.send_signal(signal.SIGINT)
        following.communicate(timeout=60)
    assert following.returncode == 130
    assert workspace.exp.status(run.id)["status"] == "RUNNING"
    run.cancel()


def test_events_of_a_reader_that_left(exp: Exp) -> None:
    """A pipe that is closed early is no fault."""
    exp("run", exp.spec("name: a\ntasks: {one: {command: [echo]}}"))
    with exp.start("events", "latest", stdout=subprocess.PIPE) as writing:
        assert writing.stdout is not None
        writing.stdout.close()
        assert writing.stderr is not None
        assert "fault" not in writing.stderr.read()


def test_events_pass_over_a_torn_tail(exp: Exp) -> None:
    """Bytes that were an incomplete batch are no event, and are told of on standard error."""
    exp("run", exp.spec("name: a\ntasks: {one: {command: [echo]}}"))
    with (exp.directory() / "ledger.jsonl").open("ab") as stream:
        stream.write(b'{"event":"ended","task"')
    told = exp("events", "latest", "--json")
    assert json.loads(told.stdout.splitlines()[-1])["event"] == "supervisor_ended"
    assert "an incomplete batch" in told.stderr
