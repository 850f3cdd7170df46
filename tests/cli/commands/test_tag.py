"""`exp tag` and `exp note`, of experiments and of records."""

from __future__ import annotations

import json
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from support.formats import checked
from support.patience import eventually
from support.workspace import events, kill_supervisor, until

from nemorun_cli import Experiment, find
from nemorun_cli.errors import NotFoundError
from nemorun_cli.model import labels
from nemorun_cli.storage import ledger
from nemorun_cli.tracking import record

if TYPE_CHECKING:
    from support.other_user import OtherUser
    from support.workspace import Exp, ExpWorkspace

    from nemorun_cli.experiment.run import Run

HOLD = until("go")


def listed(exp: Exp, *tags: str) -> list[str]:
    """The experiments that `exp list` finds by these tags."""
    words = [word for tag in tags for word in ("--tag", tag)]
    return exp("list", "-q", *words).stdout.split()


def over(workspace: ExpWorkspace) -> Run:
    """An experiment that has finished."""
    run = workspace.start({"one": "true"}, tags=["base"])
    run.wait(timeout=60)
    return run


def test_tags_change_in_time_and_lists_find_them(workspace: ExpWorkspace) -> None:
    """Lists, status and the experiment's own record find an experiment by the tags that it has now."""
    exp, run = workspace.exp, over(workspace)
    assert exp("tag", run.id, "+best", "-base", "+good").stdout.split() == ["best", "good"]
    exp("tag", run.id, "-good")
    assert listed(exp, "best") == [run.id]
    assert listed(exp, "base") == listed(exp, "good") == []
    assert exp("status", run.id, "--json").json["tags"] == ["best"] == run.tags
    found = checked(exp("records", "--tag", "best", "--json").json)["records"]
    assert [entry["experiment"] or entry["openings"][0]["experiment"] for entry in found] == [run.id]
    assert exp("records", "--tag", "base", "-q").stdout == ""
    assert exp("show", run.id, "--json").json["tags"] == ["best"]


def test_a_long_ledger_is_listed_by_its_current_tags(workspace: ExpWorkspace) -> None:
    """The end of a ledger that is read for a list need not contain the changes of tags."""
    run = over(workspace)
    run.tag("kept")
    for number in range(3):
        run.note(f"{number}" + "x" * 3000)
    assert listed(workspace.exp, "kept") == [run.id]
    summary = workspace.exp("list", "--json").json["experiments"][0]
    assert [note["text"][0] for note in summary["notes"]] == ["0", "1", "2"]
    assert summary["status"] == "COMPLETED"


def test_many_may_tag_a_running_experiment_at_once(workspace: ExpWorkspace) -> None:
    """No tag of sixteen processes is lost, also if the supervisor is killed meanwhile; it ends as always."""
    run = workspace.start({"one": HOLD})
    eventually(lambda: run.status(observe=False).history.counts["RUNNING"] == 1)
    other = workspace.exp.start("tag", run.id, "+t15")
    with ThreadPoolExecutor(15) as threads:
        done = [threads.submit(run.tag, f"t{number}") for number in range(15)]
        kill_supervisor(run)
    assert [future.exception() for future in done] == [None] * 15
    assert other.communicate()[1] == ""
    assert set(run.tags) == {f"t{number}" for number in range(16)}
    assert run.resume()
    (workspace.folder / "go").touch()
    assert run.wait(timeout=60).status == "COMPLETED"
    assert sum(event["event"] == "tagged" for event in events(run)) == 16
    assert workspace.exp("fsck", run.id).code == 0
    assert listed(workspace.exp, "t0", "t15") == [run.id]


def test_notes_are_kept_in_their_order(workspace: ExpWorkspace) -> None:
    """Each note is kept with its author, `-` reads one from standard input, and status shows the latest."""
    exp, run = workspace.exp, over(workspace)
    exp("note", run.id, "-0.3 better\n")
    exp("note", run.id, "-", stdin="two\nlines\n\n")
    assert [note.text for note in find(run.id).notes] == ["-0.3 better", "two\nlines"]
    assert "  two\n  lines\n" in exp("note", run.id).stdout
    assert "note:       two …  (2 notes: exp note" in exp("status", run.id).stdout
    assert all("@" in note["by"] for note in exp("note", run.id, "--json").json["notes"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["tag", "E", "good"], "add the tag with +good"),
        (["tag", "E", "+"], "a tag is empty"),
        (["tag", "E", "+a\x1b[2J"], "control character"),
        (["tag", "E", "+" + "a" * 201], "longer than 200"),
        (["tag", "E", "+ a"], "begins or ends with a space"),
        (["tag", "E", "+a", "-a"], "both added and removed"),
        (["tag", "+good"], "what it belongs to is missing"),
        (["note", "E", " \n"], "the note is empty"),
        (["note", "E", "x" * (labels.LONGEST_NOTE + 1)], "save a long text in a file"),
        (["note", "E", "\udcff"], "not valid Unicode"),
    ],
)
def test_what_is_no_tag_or_note_is_refused(
    over_shared: str, shared: Exp, words: list[str], message: str
) -> None:
    """The error says what is wrong, the exit code is 2, and the ledger is as before."""
    before = (shared.directory(over_shared) / "ledger.jsonl").read_bytes()
    done = shared(*[over_shared if word == "E" else word for word in words], code=2)
    assert message in done.stderr
    assert (shared.directory(over_shared) / "ledger.jsonl").read_bytes() == before


@pytest.fixture(scope="module")
def over_shared(shared: Exp) -> str:
    """The id of an experiment that has finished."""
    shared("run", shared.spec("name: over\ntags: [base]\ntasks: {one: {command: ['true']}}"), "-d", "-q")
    shared("wait", "over")
    return str(shared.status()["id"])


def test_hostile_notes_and_tags_rewrite_no_terminal(over_shared: str, shared: Exp) -> None:
    """Control characters of a note, and of an event that something else wrote, are shown as escapes."""
    shared("note", over_shared, "red\x1b[31m\x07\n\u202eend")
    path = shared.directory(over_shared) / "ledger.jsonl"
    forged = {
        "event": "tagged",
        "time": "2026-11-22T03:11:33.120Z",
        "by": "x\x1b[2J",
        "added": ["t\x1b[2J\n"],
    }
    with path.open("ab") as stream:
        stream.write(ledger.encode([{**forged, "removed": []}]))
    for words in (["note"], ["tag"], ["status"], ["show"], ["events"]):
        for columns in (60, 200):
            done = shared.on_terminal(*words, over_shared, columns=columns)
            assert not set(done.stdout) & set("\x1b\x07\u202e"), words
    assert "\x1b" not in shared("list").stdout
    shared("tag", over_shared, "-t\x1b[2J\n")
    assert shared("tag", over_shared).stdout.split() == ["base"]


def test_an_older_version_ignores_tags(workspace: ExpWorkspace) -> None:
    """Events of kinds that a reader does not know change nothing for it."""
    run = over(workspace)
    run.tag("x")
    path = run.files.ledger
    path.write_bytes(
        ledger.encode([{**each, "event": each["event"].replace("tagged", "later")} for each in events(run)])
    )
    assert run.status().status == "COMPLETED"
    assert run.tags == ["base"]
    assert workspace.exp("list", "--json").json["experiments"][0]["status"] == "COMPLETED"


def test_a_record_is_tagged_by_its_prefix(exp: Exp) -> None:
    """Tags and notes of a record open nothing, and hold across later openings with tags of their own."""
    root = exp.folder / ".dash"
    options = ["--dash-root", str(root)]

    def opened() -> None:
        with Experiment("alice/vision/net", dash_root=root, tags=["declared", "old"]).run:
            pass

    opened()
    exp("tag", "alice/vision/net", "+good", "-old", *options)
    exp("note", "alice/vision/net", "for the paper", *options)
    opened()
    known = record(root, "alice/vision/net")
    assert known is not None
    assert known.tags == ["declared", "good"]
    assert [note.text for note in known.notes] == ["for the paper"]
    assert [opening.generation for opening in known.openings] == [1, 2]
    assert known.status == "COMPLETED"
    assert exp("records", "--tag", "good", "-q", *options).stdout == "alice/vision/net\n"
    assert known.tag(add=["better"], remove="good") == ["declared", "better"]
    entry = exp("records", "--json", *options).json["records"][0]
    assert (entry["tags"], entry["notes"][0]["text"]) == (["declared", "better"], "for the paper")


def test_a_program_tags_its_own_record(exp: Exp) -> None:
    """Tags and notes of an open record are read at once, and it ends as always; none can be added before."""
    experiment = Experiment("a/b", dash_root=exp.folder / ".dash", tags=["declared"])
    with pytest.raises(NotFoundError, match="open it first"):
        experiment.tag("early")
    with experiment.run:
        assert experiment.tag("best", remove=["declared"]) == ["best"]
        experiment.note("the learning rate was too high")
        experiment.metrics("train").log(loss=0.5)
    known = record(exp.folder / ".dash", "a/b")
    assert known is not None
    assert (known.status, known.tags, len(known.notes), len(known.openings)) == ("COMPLETED", ["best"], 1, 1)


def test_a_glob_is_no_record(exp: Exp) -> None:
    """A glob, or a prefix above records, is refused with the command that lists what is meant."""
    root = exp.folder / ".dash"
    with Experiment("alice/vision/net", dash_root=root).run:
        pass
    assert "exp records 'alice/*'" in exp("tag", "alice/*", "+x", "--dash-root", root, code=2).stderr
    assert (
        "exp records 'alice/vision/*'" in exp("tag", "alice/vision", "+x", "--dash-root", root, code=3).stderr
    )


def test_a_damaged_label_spoils_only_itself(exp: Exp) -> None:
    """A label that something else wrote in another form is named, and the others count."""
    root = exp.folder / ".dash"
    with Experiment("a/b", dash_root=root, tags=["own"]).run as experiment:
        experiment.tag("good")
    label = {"_ts": 1.0, "tagged": {"added": [1], "removed": []}}
    (root / "a/b/.record/labels/0000-x.jsonl").write_text(json.dumps(label) + "\n")
    shown = exp("tag", "a/b", "--dash-root", root)
    assert "0000-x.jsonl:1" in shown.stderr
    assert shown.stdout.split() == ["own", "good"]


def test_only_its_owner_adds_to_a_record(
    workspace: ExpWorkspace, other_users: tuple[OtherUser, OtherUser]
) -> None:
    """Root adds nothing to a record of another user, who could not read the record any more."""
    owner, _ = other_users
    owner.python(
        "from nemorun_cli import Experiment; Experiment('a/b', dash_root='.dash').run.start().run.complete()"
    )
    root = owner.folder / ".dash"
    for words in (["tag", "a/b", "+x"], ["note", "a/b", "x"]):
        assert "belongs to another user" in workspace.exp(*words, "--dash-root", root, code=2).stderr


def test_tagging_is_quick_to_complete(exp: Exp) -> None:
    """A shell completes the experiment before the tags."""
    exp("run", exp.spec("name: over\ntasks: {one: {command: ['true']}}"), "-d", "-q")
    exp("wait", "over")
    words = {"COMP_WORDS": "exp tag ov", "COMP_CWORD": "2", "_EXP_COMPLETE": "complete_bash"}
    done = subprocess.run(exp.argv, env={**exp.env, **words}, capture_output=True, text=True, check=False)
    assert "over" in done.stdout.split()
