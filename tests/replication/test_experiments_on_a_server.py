"""Experiments and a real server: what arrives, what a crash or an outage changes, and what a resume gets."""

from __future__ import annotations

import json
import re
import shutil
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.extent import IS_LONG
from support.patience import eventually
from support.senders import differences, end_senders, senders
from support.served import Served, served
from support.workspace import Exp, kill, kill_supervisor

from nemorun_cli.experiment import server_notes
from nemorun_cli.experiment.run import find
from nemorun_cli.replication import credentials
from nemorun_cli.replication.experiment_source import name_of_home
from nemorun_cli.storage.paths import Home

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.workspace import Result

    from nemorun_cli.experiment.run import Run

USER = "alice"
NEVER = (
    "plan.json",
    "script",
    "outputs",
    "lock",
    "mark",
    "shim",
    "supervisor.*",
    "ledger.lock",
    "shared",
    "wake",
)
RECORDS = """
from nemorun_cli import Experiment
import os, time
with Experiment().run as record:
    record.metrics("train").log(loss=0.5)
    open("up", "w").close()
    while not os.path.exists("go"):
        time.sleep(0.02)
    record.metrics("train").log(loss=0.25)
"""


@dataclass(frozen=True)
class Client:
    """The command with a server, and a token for it."""

    exp: Exp
    server: Served

    @property
    def env(self) -> dict[str, str]:
        """The variables with which it finds the server."""
        return {
            "EXP_DASH_URL": self.server.url,
            "EXP_TOKEN": self.server.token,
            "EXP_SENDER_LINGER": "6",
        }

    def __call__(self, *words: str | Path, code: int | None = 0, **env: str) -> Result:
        """Run the command."""
        return self.exp(*words, code=code, env={**self.env, **env})

    def start(self, tasks: str, tracking: str = "", name: str = "tried") -> Run:
        """Start an experiment that sends to the server."""
        self.exp.spec(
            f"name: {name}\nprefix: {USER}/{self.exp.home.parent.name}/{name}\n"
            f"tracking: {{dash_url: true{tracking}}}\ntasks:\n{tasks}"
        )
        self("run", "spec.yaml", "-d", "-q")
        return self.latest

    @property
    def latest(self) -> Run:
        """The latest experiment."""
        return find("latest", home=Home(self.exp.home))

    def replica(self, run: Run) -> Path:
        """The folder of the server's copy."""
        home = self.server.own.parent / ".experiments" / USER / name_of_home(run.home)
        return home / "experiments" / run.directory.parent.name / run.id

    def records(self, run: Run) -> Path:
        """The folder of the server's copy of its records."""
        return self.server.own.parent / str(run.status().history.created["prefix"])

    def has_ledger(self, run: Run) -> bool:
        """Whether the server's copy of the ledger has the same bytes."""
        copy = self.replica(run) / "ledger.jsonl"
        return copy.exists() and copy.read_bytes() == run.files.ledger.read_bytes()

    def has_all(self) -> bool:
        """Whether no marker is left."""
        return not [
            marker
            for folder in (self.exp.home / "outbox", self.exp.home / "dash" / ".outbox")
            for marker in folder.glob("*/pending/*.json")
        ]

    def senders(self) -> list[int]:
        """The pids of its senders."""
        return senders(self.exp.home)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that collects."""
    with served(tmp_path_factory.mktemp("server")) as running:
        running.token = running.add_token(USER)
        yield running


@pytest.fixture
def client(exp: Exp, server: Served) -> Iterator[Client]:
    """The command of a user with a token; its senders end with the test."""
    made = Client(exp, server)
    yield made
    (exp.folder / "go").touch()
    end_senders(exp.home)


def _task(name: str, text: str, **keys: Any) -> str:
    return f"  {name}: {json.dumps({'inline': text, **keys})}\n"


def test_a_copy_is_equal_in_every_byte(client: Client) -> None:
    """With all settings, `diff -r` finds what is never sent, and nothing else; likewise of the records."""
    client.exp.spec("echo from-a-script\n", name="one.sh")
    run = client.start(
        "  one: {script: one.sh, env: {A: value-of-a}}\n" + _task("two", "exit 3", allow_failure=True),
        ", logs: true, spec: true, code: true",
    )
    run.wait(timeout=60)
    eventually(client.has_all)
    there = client.replica(run)
    left = [line for line in differences(run.directory, there).splitlines() if line.startswith("Only in")]
    assert {line.rpartition(": ")[2] for line in left} <= {
        *("plan.json", "script", "outputs", "lock", "mark", "shim", "supervisor.lock", "supervisor.log"),
        *("ledger.lock", "shared"),
    }
    assert len(left) == len(differences(run.directory, there).splitlines())
    assert not differences(Path(run.home.dash, run.status().history.created["prefix"]), client.records(run))


def test_an_experiment_that_the_server_lost_is_sent_again(client: Client) -> None:
    """`exp sync ID --url` asks the server and sends all; to a server that the spec does not name, nothing."""
    run = client.start(_task("one", "true"))
    run.wait(timeout=60)
    eventually(client.has_all)
    for which in (run.id, "latest"):
        shutil.rmtree(client.replica(run))
        assert "all has arrived" in client("sync", which, "--url", client.server.url).stderr
        assert client.has_ledger(run)
    assert "by its spec" in client("sync", run.id, "--url", "http://127.0.0.1:1", code=2).stderr


def test_variables_are_nowhere_on_the_server(client: Client) -> None:
    """Without `tracking.spec`, no byte that the server keeps of an experiment has a value of `env`."""
    (client.exp.folder / "go").touch()
    run = client.start(
        _task("one", "echo '${{ env.GENERAL }}'; exit 3", allow_failure=True)
        + _task("two", RECORDS, entrypoint="python3")
        + "env: {GENERAL: value-of-general}\n",
        name="masked",
    )
    assert run.wait(timeout=60).status == "COMPLETED"
    eventually(client.has_all)
    folders = [client.replica(run), client.records(run)]
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    assert {path.name for path in files} >= {"ledger.jsonl", "resolved.json", "exit.json", "records"}
    assert not [path for path in files if b"value-of-general" in path.read_bytes()]


def test_a_crash_of_supervisor_and_sender_loses_nothing(client: Client) -> None:
    """After kill -9 of both, a resume continues with both, and the server has all, once."""
    run = client.start(_task("one", RECORDS, entrypoint="python3") + _task("two", ":", dependencies=["one"]))
    eventually((client.exp.folder / "up").exists)
    kill_supervisor(run)
    for pid in client.senders():
        kill(pid)
    client("resume", run.id, "-d", "-q")
    (client.exp.folder / "go").touch()
    assert run.wait(timeout=60).status == "COMPLETED"
    eventually(lambda: client.has_ledger(run))
    records = Path(run.home.dash, run.status().history.created["prefix"])
    eventually(lambda: not differences(records, client.records(run)))


def test_a_sender_goes_on_without_its_supervisor(client: Client) -> None:
    """What a task records after kill -9 of its supervisor arrives, as its sender is a process of its own."""
    run = client.start(_task("one", RECORDS, entrypoint="python3"))
    eventually((client.exp.folder / "up").exists)
    rows = client.records(run) / "one" / ".record" / "metrics" / "train"
    eventually(rows.is_dir)
    kill_supervisor(run)
    (client.exp.folder / "go").touch()
    eventually(lambda: b"0.25" in b"".join(path.read_bytes() for path in rows.iterdir()))
    eventually((run.files.attempt("one", 1).directory / "exit.json").exists)
    client("wait", run.id, code=None)  # which records the end, and has it sent
    eventually(lambda: client.has_ledger(run))


def test_a_request_without_a_supervisor_is_sent(client: Client) -> None:
    """A tag or a note after the end reaches the server, too; of what has arrived the status shows nothing."""
    run = client.start(_task("one", ":"))
    run.wait(timeout=60)
    eventually(client.has_all)
    assert client.server.url not in client("status").stdout
    assert client("status", "--json").json["sync"]["pending"] == 0
    client("tag", run.id, "+late")
    client("note", run.id, "a late note")
    eventually(client.has_all)
    assert client.has_ledger(run)
    assert (client.replica(run) / "labelled").exists()


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a server that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def test_a_server_that_hangs_changes_nothing(client: Client, silent: str) -> None:
    """The exit codes are those without a server; the status shows what is left, `gc` and `rm` keep it."""
    spec = client.exp.spec(
        f"tracking: {{dash_url: true}}\nprefix: {USER}/x\ntasks:\n" + _task("one", "exit 3")
    )
    client("run", spec, code=1, EXP_DASH_URL=silent)
    run = client.latest
    sync = client("status", "--json", code=None).json["sync"]
    assert sync["url"] == silent
    assert sync["pending"] >= run.files.ledger.stat().st_size
    assert f"not on {silent} yet" in client("status", code=None).stdout
    assert f"not on {silent} yet" in client("why").stderr
    assert client("show", "--json").json["sync"]["pending"] == sync["pending"]
    assert "not all of it has arrived" in client("rm", run.id, "--yes", code=4).stderr
    assert "not all of it has arrived" in client("gc", "--older", "0s").stderr
    assert run.directory.is_dir()


def test_what_is_restored_is_sent(client: Client, silent: str) -> None:
    """An experiment that was removed before it had arrived is sent when it is restored, with its records."""
    spec = client.exp.spec(f"tracking: {{dash_url: true}}\nprefix: {USER}/x\ntasks:\n" + _task("one", ":"))
    client("run", spec, EXP_DASH_URL=silent)
    run = client.latest
    client("rm", run.id, "--records", "--force", "--yes")
    end_senders(client.exp.home)

    def markers() -> list[Path]:
        outboxes = (client.exp.home / "outbox", client.exp.home / "dash" / ".outbox")
        return [path for folder in outboxes for path in folder.glob("*/pending/*.json")]

    for path in markers():  # nothing is there, so that a sender concludes that nothing is left
        path.unlink()
    client("rm", "--restore", run.id)
    marked = [json.loads(path.read_bytes()) for path in markers()]
    assert [each["experiment"] for each in marked if "experiment" in each] == [str(run.directory)]
    assert {each["prefix"] for each in marked if "prefix" in each} == {f"{USER}/x"}


def test_what_goes_where_is_printed_once(client: Client) -> None:
    """The first run that sends from a home prints it to stderr; after that only obstacles are printed."""
    spec = client.exp.spec(f"tracking: {{dash_url: true}}\nprefix: {USER}/said\ntasks:\n" + _task("one", ":"))
    first = client("run", spec).stderr
    sentence = (
        f"{client.server.url} gets the records, ledger, graph, ends and outputs; not logs, env values or code"
        " (tracking: {logs: true, spec: true, code: true} adds them)"
    )
    assert sentence in " ".join(first.split())
    run = client.latest
    assert server_notes.line(run.files, run.spec()) == f"{client.server.url}: {_no_token(client)}"


@pytest.mark.parametrize("prefix", ["", "prefix: bob/p/first\n"])
def test_records_of_another_owner_are_a_warning_with_the_remedy(
    prefix: str, exp: Exp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`exp validate` and `exp run` say that a server refuses the records, and which prefix to write."""
    url = "http://127.0.0.1:9"
    monkeypatch.setenv("NEMORUN_HOME", str(exp.home))
    credentials.store(url, "secret", user="alice", uses_keyring=False)
    spec = exp.spec(f"name: first\n{prefix}tracking: {{dash_url: '{url}'}}\ntasks:\n" + _task("one", ":"))
    wanted = f"write prefix: alice/{'p/first' if prefix else 'first'}"
    told = exp("validate", spec).stderr
    assert "refuses the records" in told
    assert wanted in told
    assert (": prefix: " in told) is bool(prefix)  # where the wrong value is
    assert wanted in " ".join(exp("run", spec, "--dry-run").stderr.split())


def _no_token(client: Client) -> str:
    """What is printed in a process without the token."""
    url = client.server.url
    return f"nothing is sent yet: no token for {url}: not logged in (exp login {url})"


def test_a_missing_token_is_a_warning(client: Client) -> None:
    """Without a token a spec is valid and runs: the records wait for a login."""
    spec = client.exp.spec(f"tracking: {{dash_url: true}}\nprefix: {USER}/x\ntasks:\n" + _task("one", ":"))
    for command in (["validate", spec], ["run", spec, "--dry-run"], ["run", spec]):
        assert "nothing is sent yet: no token" in client(*command, EXP_TOKEN="").stderr
    end_senders(client.exp.home)
    client("sync")
    assert client.has_all()


def test_why_tells_what_has_not_arrived(client: Client) -> None:
    """`exp why` reports what its server has not, and the reason; nothing of it when all has arrived."""
    spec = client.exp.spec(
        f"tracking: {{dash_url: true}}\nprefix: {USER}/x\ntasks:\n" + _task("one", "exit 3")
    )
    client("run", spec, code=1, EXP_TOKEN="")
    eventually(lambda: "no token" in client("why").stderr)
    said = client("why").stderr
    [line] = [line for line in said.splitlines() if client.server.url in line and " not on " in line]
    assert re.search(rf"[0-9.]+[KM]? not on {re.escape(client.server.url)} yet: no token for ", line)
    assert client("why", "--json").json["sync"]["pending"] > 0
    end_senders(client.exp.home)
    client("sync")
    assert client.server.url not in client("why").stderr
    assert client("why", "--json").json["sync"]["pending"] == 0


def test_a_resume_elsewhere_gets_the_records_first(client: Client) -> None:
    """On another machine, what is missing of the records of the tasks is here before they run again."""
    run = client.start(_task("one", RECORDS + "raise SystemExit(1)\n", entrypoint="python3"))
    (client.exp.folder / "go").touch()
    run.wait(timeout=60)
    eventually(client.has_all)
    record = Path(run.home.dash, run.status().history.created["prefix"], "one", ".record")
    shutil.rmtree(record)
    _pretend_other_host(run)
    client("resume", run.id, "--host-is-gone", "-d", "-q")
    run.wait(timeout=60)
    rows = sorted(path.read_bytes() for path in (record / "metrics" / "train").iterdir())
    assert len(rows) == 2
    assert all(b"0.25" in each for each in rows)


def test_a_resume_elsewhere_without_the_server_goes_on(client: Client, silent: str) -> None:
    """A server that cannot be asked is a note, and no reason not to resume."""
    spec = client.exp.spec(
        f"tracking: {{dash_url: true}}\nprefix: {USER}/x\ntasks:\n" + _task("one", "exit 3")
    )
    client("run", spec, code=1, EXP_DASH_URL=silent)
    run = client.latest
    _pretend_other_host(run)
    said = client("resume", run.id, "--host-is-gone", code=1, EXP_DASH_URL=silent)
    assert "was not looked at" in said.stderr


def _pretend_other_host(run: Run) -> None:
    """Let the supervisors in the ledger be those of another machine, and the experiment be interrupted."""
    text = run.files.ledger.read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if '"mark"' not in line and '"event":"finished"' not in line]
    kept = [json.loads(line) for line in lines if '"supervisor_ended"' not in line]
    for event in kept:
        if event["event"] == "supervisor_started":
            event |= {"host": "another-machine", "boot": "another-boot"}
    from nemorun_cli.storage import ledger  # noqa: PLC0415 - as a repair writes it

    run.files.ledger.write_bytes(ledger.encode(kept))


REUSED = """
from nemorun_cli import Experiment
with Experiment().run as record:
    record.params.set(lr=0.1)
    record.metrics("train").log(loss=0.5)
    record.metrics("train").log(loss=0.25)
    record.files("out").save("made.txt")
"""

if IS_LONG:

    def test_what_was_reused_arrives_as_a_record_of_its_own(client: Client) -> None:
        """Also of a run that no server knows: its rows, files, the final status, whose result it is."""
        (client.exp.folder / "made.txt").write_text("made")
        task = _task("train", f"python3 - <<'END'\n{REUSED}END", cache=True)
        client.exp("run", client.exp.spec(f"name: alone\ntasks:\n{task}"), "-q")
        alone = client.latest
        run = client.start(task)
        assert run.wait(timeout=60).status == "COMPLETED"
        state = run.status().history.tasks["train"]
        assert state.cached_from == {"experiment": alone.id, "task": "train", "attempt": 1}
        eventually(lambda: client.has_ledger(run) and client.has_all())

        local = Path(run.home.dash, run.status().history.created["prefix"])
        assert not differences(local, client.records(run))
        record = client.records(run) / "train" / ".record"
        (opening,) = (path for path in (record / "openings").iterdir() if "verdict" not in path.name)
        facts = json.loads(opening.read_text().splitlines()[0])
        assert (facts["exp_id"], facts["cached_from"]) == (run.id, state.cached_from)
        (verdict,) = (record / "openings").glob("*.verdict.json")
        assert json.loads(verdict.read_text())["reason"] == "cached"
        assert b"0.25" in b"".join(path.read_bytes() for path in (record / "metrics" / "train").iterdir())
        blobs = (path for path in (record / "blobs").rglob("*") if path.is_file())
        assert [path.read_text() for path in blobs] == ["made"]
