"""The plugin `notify`: people and programs are told of ends and failures, by a command or a webhook."""

from __future__ import annotations

import json
import os
import signal
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from support.formats import checked
from support.patience import eventually
from support.workspace import attempt, kill, kill_supervisor, shim_pid, until

from nemorun_cli.contract.fixtures import processes_of
from nemorun_cli.plugins.builtin import notify
from nemorun_cli.plugins.faults import faults, settle
from nemorun_cli.storage import events
from nemorun_cli.storage.ledger import Ledger
from nemorun_cli.supervisor.loop import SupervisorLoop
from nemorun_cli.system import locks

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from support.workspace import ExpWorkspace

    from nemorun_cli.experiment.run import Run
    from nemorun_cli.storage.events import Event

NOTE = ["sh", "-c", 'cat >>told; printf "%s %s %s\\n" "$EXP_OCCASION" "$EXP_STATUS" "$EXP_TASK" >>said']


class Inbox(HTTPServer):
    """A webhook on this machine.

    `refusals` is how many requests it answers with 500 first; `moved_to` is where it redirects all of them.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answering)
        self.received: list[tuple[dict[str, str], bytes]] = []
        self.refusals = 0
        self.moved_to = ""

    @property
    def address(self) -> str:
        """Where to post."""
        return f"http://127.0.0.1:{self.server_port}/hook"


class _Answering(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        server = self.server
        assert isinstance(server, Inbox)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        server.received.append((dict(self.headers), body))
        server.refusals -= 1
        self.send_response(302 if server.moved_to else 500 if server.refusals >= 0 else 204)
        if server.moved_to:
            self.send_header("Location", server.moved_to)
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        del args


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    """A webhook that takes what is posted."""
    with Inbox() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def uses(**options: Any) -> list[dict[str, Any]]:
    return [{"uses": "notify", "with": options}]


def listeners(workspace: ExpWorkspace) -> set[int]:
    """The processes of plugins under the home of a test."""
    return {
        process.pid
        for process in processes_of(workspace.exp.home)
        if any("listener_process" in argument for argument in process.info["cmdline"] or [])
    }


def settled(run: Run) -> None:
    """Wait until everybody was told."""
    run.wait(timeout=60)
    assert settle(run.files, run.spec())


@pytest.mark.parametrize(
    ("on", "code", "said"),
    [
        ("end", 0, ["end COMPLETED "]),
        (["end"], 1, ["end FAILED "]),
        ("success", 0, ["end COMPLETED "]),
        ("success", 1, []),
        ("failure", 0, []),
        ("failure", 1, ["end FAILED "]),
        ("cancel", 1, []),
        (["first_failure", "end"], 1, ["first_failure FAILED a", "end FAILED "]),
    ],
)
def test_command_is_told_on_the_wanted_occasions(
    workspace: ExpWorkspace, on: Any, code: int, said: list[str]
) -> None:
    """It gets the document as its input and the most important of it as variables."""
    run = workspace.start({"a": f"exit {code}"}, plugins=uses(on=on, command=NOTE))
    settled(run)
    assert workspace.lines("said") == said
    documents = [checked(json.loads(line)) for line in workspace.lines("told")]
    assert [one["id"] for one in documents] == [run.id] * len(said)
    assert faults(run.files, run.spec()) == []


def test_cancel_is_told(workspace: ExpWorkspace) -> None:
    """An experiment that was cancelled has ended too."""
    run = workspace.start({"a": until("never")}, plugins=uses(on=["cancel"], command=NOTE))
    run.cancel()
    settled(run)
    assert run.status().status == "CANCELLED"
    assert faults(run.files, run.spec()) == []
    assert workspace.lines("said") == ["end CANCELLED "]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_plugins_hear_before_anybody_can_read_of_the_end(workspace: ExpWorkspace) -> None:
    """Whoever waits for an experiment that was over at once waits for its plugins too."""
    run = workspace.start({"a": until("go")}, plugins=uses(command=NOTE))
    shim_pid(run, "a")
    kill_supervisor(run)
    workspace.touch("go")
    eventually(attempt(run, "a").exit.exists)
    supervision = SupervisorLoop(run.files, run.spec(), secrets={}, home=workspace.exp.home, by="test")
    ledger, heard = supervision.journal.ledger, []

    def append(batch: Sequence[Event]) -> list[Event]:
        if batch[-1]["event"] == events.FINISHED:
            own = run.files.hearer(0)  # a process that waits for its predecessor counts, too
            heard.append(locks.is_held(own.lock) or locks.is_shared(own.waiting))
        return Ledger.append(ledger, batch)

    ledger.append = append  # type: ignore[method-assign]
    supervision.open()
    try:
        supervision.run()
    finally:
        supervision.close()
    settled(run)
    assert (heard, workspace.lines("said")) == ([True], ["end COMPLETED "])


def test_a_process_that_waits_for_its_predecessor_is_waited_for(workspace: ExpWorkspace) -> None:
    """Between the end of a first supervisor's process and the turn of the second's, nobody is told yet."""
    run = workspace.start({"a": until("go")}, plugins=uses(command=NOTE))
    eventually(run.files.hearer(0).heard.exists)
    (first,) = listeners(workspace)
    os.kill(first, signal.SIGSTOP)
    kill_supervisor(run)
    run.resume()
    (second,) = eventually(lambda: listeners(workspace) - {first})
    eventually(lambda: locks.is_shared(run.files.hearer(0).waiting))
    os.kill(second, signal.SIGSTOP)
    workspace.touch("go")
    run.wait(timeout=60)
    kill(first)
    assert not locks.is_held(run.files.hearer(0).lock)
    assert not settle(run.files, run.spec(), patience=0.1)
    os.kill(second, signal.SIGCONT)
    settled(run)
    assert workspace.lines("said") == ["end COMPLETED "]


def test_end_of_the_supervisor_is_told(workspace: ExpWorkspace) -> None:
    """Killed before the end, it cannot tell; the process of the plugin does."""
    run = workspace.start({"a": until("go")}, plugins=uses(on=["interrupted", "end"], command=NOTE))
    shim_pid(run, "a")
    eventually(run.files.hearer(0).heard.exists)
    kill_supervisor(run)
    eventually(lambda: workspace.lines("said") == ["interrupted RUNNING "])
    checked(json.loads(workspace.lines("told")[0]))
    run.resume()
    workspace.touch("go")
    settled(run)
    assert workspace.lines("said") == ["interrupted RUNNING ", "end COMPLETED "]


def test_first_failure_is_told_at_once_and_once(workspace: ExpWorkspace) -> None:
    """While others still run; a failure that is tried again is none, and each one is told only if wanted."""
    again = {"inline": '[ "$EXP_ATTEMPT" = 2 ]', "retry": {"limit": 1}}
    tasks = {
        "again": again,
        "bad": {"inline": "exit 3", "dependencies": ["again"]},
        "worse": {"inline": "exit 4", "dependencies": ["bad"], "dependency_type": "afterany"},
        "long": until("go"),
    }
    first, each = (
        uses(on="first_failure", command=NOTE),
        uses(on="each_failure", command=["sh", "-c", "cat >>all"]),
    )
    run = workspace.start(tasks, plugins=[*first, *each])
    eventually(lambda: workspace.lines("said") == ["first_failure RUNNING bad"])
    workspace.touch("go")
    settled(run)
    assert len(workspace.lines("said")) == 1
    told = [checked(json.loads(line)) for line in workspace.lines("all")]
    assert [(one["task"], one["failed"][0]["exit_code"]) for one in told] == [("bad", 3), ("worse", 4)]


@pytest.mark.parametrize(
    ("form", "kind"),
    [
        ("json", "application/json"),
        ("slack", "application/json"),
        ("discord", "application/json"),
        ("text", "text/plain; charset=utf-8"),
    ],
)
def test_webhook_gets_the_form_that_it_wants(
    workspace: ExpWorkspace, inbox: Inbox, form: str, kind: str
) -> None:
    """The document, or its text as chats and plain receivers want it, with headers of one's own."""
    run = workspace.start(
        {"a": "exit 1"}, plugins=uses(webhook=inbox.address, form=form, headers={"X-Title": "a run"})
    )
    settled(run)
    [(headers, body)] = inbox.received
    assert (headers["Content-Type"], headers["X-Title"]) == (kind, "a run")
    text = body.decode() if form == "text" else json.loads(body)[{"discord": "content"}.get(form, "text")]
    if form == "json":
        checked(json.loads(body))
    assert text.startswith(f"{run.id} FAILED after")
    assert "  a: exit code 1" in text


def test_modules_beside_the_spec_get_in_nobodys_way(workspace: ExpWorkspace, inbox: Inbox) -> None:
    """A built-in plugin imports Python's own modules, whatever files lie in the spec's folder."""
    for name in ("http", "urllib", "email", "ssl"):
        (workspace.folder / f"{name}.py").write_text("raise ImportError('not this one')\n")
    run = workspace.start({"a": "true"}, plugins=uses(webhook=inbox.address))
    settled(run)
    assert len(inbox.received) == 1


def test_webhook_is_tried_again(
    workspace: ExpWorkspace, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What goes wrong once may go well the next time; what never does is recorded without the address."""
    inbox.refusals = 1
    monkeypatch.setenv("THE_HOOK", inbox.address)
    run = workspace.start({"a": "true"}, plugins=uses(webhook={"secret": {"env": "THE_HOOK"}}, retries=1))
    settled(run)
    assert len(inbox.received) == 2
    assert faults(run.files, run.spec()) == []
    inbox.refusals = 9
    run = workspace.start({"a": "true"}, plugins=uses(webhook={"secret": {"env": "THE_HOOK"}}, retries=0))
    settled(run)
    [fault] = faults(run.files, run.spec())
    assert "the webhook answered 500" in fault.error
    assert inbox.address not in (run.files.hearer(0).log).read_text()


def test_command_that_fails_is_recorded(workspace: ExpWorkspace) -> None:
    """With what it printed; one that hangs is ended, and the experiment is what it was."""
    loud, slow = ["sh", "-c", "echo no mail here; exit 3"], ["sleep", "60"]
    run = workspace.start(
        {"a": "true"},
        plugins=[*uses(command=loud, retries=0), *uses(command=slow, retries=0, timeout=0.3)],
    )
    settled(run)
    errors = [fault.error for fault in faults(run.files, run.spec())]
    assert errors == [
        "NotifyError: sh failed with exit code 3: no mail here",
        "NotifyError: sleep did not finish within 0.3 s",
    ]


def test_command_is_waited_for_by_who_watches(workspace: ExpWorkspace) -> None:
    """A container that ends with `exp run` has sent its message by then."""
    spec = workspace.spec({"a": "true"}, plugins=uses(command=NOTE))
    for more in ((), ("--direct",), ("-q",)):
        workspace.exp("run", spec, *more)
    assert workspace.lines("said") == ["end COMPLETED "] * 3


def test_a_redirect_is_reported_and_not_followed(
    workspace: ExpWorkspace, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who watches is told the code; neither the address nor a header is in what is recorded."""
    monkeypatch.setenv("AUTH", "Bearer very-secret-header")
    with Inbox() as first:
        first.moved_to = inbox.address
        thread = threading.Thread(target=first.handle_request)
        thread.start()
        monkeypatch.setenv("THE_HOOK", f"{first.address}/very-secret-path")
        options = {
            "webhook": {"secret": {"env": "THE_HOOK"}},
            "headers": {"Authorization": {"secret": {"env": "AUTH"}}},
        }
        spec = workspace.spec({"a": "true"}, plugins=uses(**options, retries=0))
        done = workspace.exp("run", spec)
        thread.join()
    assert "the webhook answered 302 Found: a redirect, which is not followed" in done.stderr
    assert (len(first.received), inbox.received) == (1, [])
    assert first.received[0][0]["Authorization"] == "Bearer very-secret-header"
    for path in workspace.home.directory.rglob("*"):
        assert not path.is_file() or b"very-secret" not in path.read_bytes(), path


def test_secrets_of_tasks_are_hidden(workspace: ExpWorkspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a task's end may say of a secret is masked before anybody is told."""
    monkeypatch.setenv("THE_TOKEN", "a-secret-value")
    run = workspace.start(
        {
            "a": {
                "inline": 'echo "broken a-secret-value" >>"$EXP_OUTPUT"',
                "secrets": {"T": {"env": "THE_TOKEN"}},
            }
        },
        plugins=uses(command=["sh", "-c", "cat >>told"]),
    )
    settled(run)
    [line] = workspace.lines("told")
    assert "a-secret-value" not in line
    assert "***" in line


def test_document_names_so_many_failures_and_counts_all(workspace: ExpWorkspace) -> None:
    """A thousand failures make no message of a thousand lines."""
    axis = list(range(notify.MOST_FAILED + 3))
    sweep = {"command": "false", "matrix": {"n": axis}}
    run = workspace.start({"a": sweep}, plugins=uses(command=["sh", "-c", "cat >>told"]))
    settled(run)
    told = checked(json.loads(workspace.lines("told")[0]))
    assert (told["failed_count"], len(told["failed"])) == (len(axis), notify.MOST_FAILED)
    assert "  … and 3 more" in told["text"]
