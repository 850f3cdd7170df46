"""`exp rm`: experiments and records go to the trash, and come back."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import threading
import warnings
from typing import TYPE_CHECKING, Any

import pytest
from support.extent import IS_LONG
from support.formats import checked
from support.hostile_values import MARK, RAW, VALUES, dumped, pointers, replaced
from support.patience import eventually
from support.small_disks import full, mounted
from support.workspace import kill_supervisor, until

from nemorun_cli import Experiment, close_record, find, find_record, remove_record, restore
from nemorun_cli.errors import (
    ExpError,
    LedgerError,
    NotFoundError,
    NotOverError,
    UnreadableWarning,
    UsageError,
)
from nemorun_cli.experiment import create, trash
from nemorun_cli.experiment.maintenance import removal
from nemorun_cli.model.spec import Identity
from nemorun_cli.spec import load
from nemorun_cli.storage import paths, run_keys
from nemorun_cli.system import crashpoints, locks
from nemorun_cli.tracking.store import presence

if TYPE_CHECKING:
    from pathlib import Path

    from support.workspace import ExpWorkspace

    from nemorun_cli.experiment.run import Run

TRACKS = {"inline": "echo loss 1", "metrics": {"train": r"loss (?P<loss>\S+)"}}


def over(workspace: ExpWorkspace, task: str | dict[str, Any] = "true", **header: object) -> Run:
    """An experiment that has finished, and whose supervisor has terminated."""
    run = workspace.start({"one": task}, **header)
    run.wait(timeout=60)
    eventually(lambda: not locks.is_held(run.files.supervisor_lock))
    return run


def running(workspace: ExpWorkspace, *later: str, **header: object) -> Run:
    """An experiment whose first task runs until there is a file `go`, and others after it."""
    others = {name: {"command": ["true"], "dependencies": ["one"]} for name in later}
    run = workspace.start({"one": until("go"), **others}, **header)
    eventually(lambda: run.status(observe=False).history.counts["RUNNING"] == 1)
    return run


def contents(folder: Path) -> dict[str, bytes | None]:
    """Everything in a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


def test_what_is_removed_comes_back_as_it_was(workspace: ExpWorkspace) -> None:
    """No command finds an experiment in the trash, each names the remedy, and a restore undoes it."""
    exp, run = workspace.exp, over(workspace, TRACKS)
    before = contents(exp.home)
    exp("rm", run.id, "--records")
    assert exp("list", "-q").stdout == exp("records", "-q").stdout == ""
    for words in (["status"], ["fsck"], ["resume"], ["tag"], ["logs"]):
        assert f"exp rm --restore {run.id}" in exp(*words, run.id, code=3).stderr
    record = next(name for name in before if name.endswith("/one/.record"))
    for command in ("tag", "metrics", "records"):
        prefix = record.removeprefix("dash/").removesuffix("/.record")
        assert "exp rm --restore" in exp(command, prefix, code=3).stderr
    listed = checked(exp("rm", "--restore", "--json").json)["trash"]
    assert [item["kind"] for item in listed[0]["items"]] == ["record", "record", "experiment"]
    assert not [path for path in exp.home.rglob("*") if run.id in path.name and "trash" not in path.parts]
    assert len(checked(exp("rm", "--restore", run.id, "--json").json)["restored"]) == 3
    after = contents(exp.home)
    assert {name: data for name, data in after.items() if name != "trash"} == before
    assert exp("status", run.id).code == 0


def test_a_shell_completes_what_can_be_restored(workspace: ExpWorkspace) -> None:
    """After --restore the ids in the trash are offered, and not those of other experiments."""
    removed, kept = over(workspace), over(workspace)
    removed.remove()
    for words, offered in (("exp rm --restore tr", removed.id), ("exp rm tr", kept.id)):
        env = {"COMP_WORDS": words, "COMP_CWORD": str(words.count(" ")), "_EXP_COMPLETE": "complete_bash"}
        printed = workspace.exp(env=env, code=None).stdout.split()
        assert {removed.id, kept.id} & set(printed) == {offered}


def test_records_stay_unless_asked_or_shared(workspace: ExpWorkspace) -> None:
    """Without --records they stay; with it those that another experiment wrote, too, are kept and named."""
    exp = workspace.exp
    first, second = (over(workspace, prefix="team/shared") for _ in range(2))
    exp("rm", first.id)
    assert exp("records", "-q").stdout == "team/shared\n"
    done = checked(exp("rm", second.id, "--records", "--json").json)
    assert [(kept["prefix"], kept["message"]) for kept in done["kept"]] == [
        ("team/shared", f"{first.id} wrote it, too")
    ]
    assert exp("records", "-q").stdout == "team/shared\n"


def test_what_runs_is_refused(workspace: ExpWorkspace) -> None:
    """A running experiment, one without a supervisor whose task runs, and its records stay, with code 4."""
    run = running(workspace, "two")
    prefix = str(run.status().to_json()["prefix"])
    exp = workspace.exp
    assert "it is running" in exp("rm", run.id, code=4).stderr
    assert f"exp cancel {run.id}" in exp("rm", prefix, code=4).stderr
    kill_supervisor(run)
    assert "1 of its tasks may still run" in exp("rm", run.id, code=4).stderr
    with pytest.raises(NotOverError):
        run.remove()
    (workspace.folder / "go").touch()
    eventually(lambda: run.status().live == 0)
    exp("rm", run.id, "--records")  # it is INTERRUPTED, and nothing runs
    restore(run.id)
    assert run.resume()
    assert run.wait(timeout=60).status == "COMPLETED"


def test_what_another_experiment_waits_for_is_refused(workspace: ExpWorkspace) -> None:
    """The error names the experiment that waits; the first one can be removed when it has finished."""
    first = running(workspace, name="first")
    use = {"command": ["true"], "dependencies": [{"experiment": first.id}]}
    second = workspace.start({"use": use, "hold": until("more")}, name="second")
    (workspace.folder / "go").touch()
    first.wait(timeout=60)
    assert f"{second.id} waits for {first.id}" in workspace.exp("rm", first.id, code=4).stderr
    (workspace.folder / "more").touch()
    second.wait(timeout=60)
    workspace.exp("rm", first.id)


def test_only_what_is_named_is_removed(workspace: ExpWorkspace) -> None:
    """Prefixes of ids, `latest` and globs are refused with what they stand for; a glob needs --yes."""
    exp, run = workspace.exp, over(workspace)
    for word in ("latest", run.id[:-1]):
        assert f"exp rm {run.id}" in exp("rm", word, code=2).stderr
    assert f"matches 1: {run.id}" in exp("rm", "tri*", code=2).stderr
    exp("rm", "--restore", "--records", code=2)
    exp("rm", code=2)
    assert exp("rm", run.id, "--dry-run").stderr.startswith("would move")
    assert exp("list", "-q").stdout.split() == [run.id]
    assert exp("rm", "tri*", "--dry-run").stderr.startswith("would move")
    exp("rm", "tri*", "--yes")
    assert exp("list", "-q").stdout == ""
    assert "not in the trash" in exp("rm", "--restore", "other", code=3).stderr
    exp("rm", "--restore", "tried")
    assert exp("list", "-q").stdout.split() == [run.id]


def test_what_was_removed_together_is_restored_together(workspace: ExpWorkspace) -> None:
    """A glob, or a prefix with a slash, restores all that it matches."""
    root = workspace.folder / ".dash"
    for prefix in ("a/b", "a/c", "d"):
        with Experiment(prefix, dash_root=root).run:
            pass
    exp, options = workspace.exp, ["--dash-root", root]
    exp("rm", "a/", "--yes", *options)
    exp("rm", "d", *options)
    assert "matches nothing in the trash" in exp("rm", "--restore", "x/*", code=3).stderr
    exp("rm", "--restore", "a/")
    assert exp("records", "-q", *options).stdout.split() == ["a/b", "a/c"]
    exp("rm", "a/*", "--yes", *options)
    exp("rm", "--restore", "a/*")
    assert exp("records", "-q", *options).stdout.split() == ["a/b", "a/c"]


@pytest.mark.parametrize("function", [remove_record, close_record, restore])
def test_another_type_is_refused_with_what_is_needed(function: Any, workspace: ExpWorkspace) -> None:
    """A TypeError says what to pass."""
    given = workspace if function is restore else "a/b"
    with pytest.raises(TypeError, match="needed"):
        function(given, home=workspace.home)


def test_a_place_that_is_taken_is_not_overwritten(workspace: ExpWorkspace) -> None:
    """A restore moves nothing if one of its places is taken."""
    run = over(workspace, TRACKS)
    prefix = str(run.status().to_json()["prefix"])
    run.remove(records=True)
    with Experiment(prefix, dash_root=workspace.home.dash).run:
        pass
    before = contents(workspace.home.trash)
    assert "exists" in workspace.exp("rm", "--restore", run.id, code=2).stderr
    assert contents(workspace.home.trash) == before


def test_a_record_is_removed_and_those_below_it_stay(workspace: ExpWorkspace) -> None:
    """Only the record with that prefix is removed; with a slash and --yes all below it, too."""
    root = workspace.folder / ".dash"
    for prefix in ("a/b", "a/b/c", "a/d"):
        with Experiment(prefix, dash_root=root).run:
            pass
    exp, options = workspace.exp, ["--dash-root", root]
    exp("rm", "a/b", *options)
    assert exp("records", "-q", *options).stdout.split() == ["a/b/c", "a/d"]
    assert "matches 1: a/b/c" in exp("rm", "a/b/", *options, code=2).stderr
    exp("rm", "a/b/", "--yes", *options)
    assert [path.name for path in (root / "a").iterdir()] == ["d"]
    assert [item.prefix for each in ("a/b/c", "a/b") for item in restore(each).items] == ["a/b/c", "a/b"]
    assert exp("records", "-q", *options).stdout.split() == ["a/b", "a/b/c", "a/d"]


def test_an_open_record_is_not_removed(workspace: ExpWorkspace) -> None:
    """A record that somebody writes, or that another machine left open, stays."""
    root = workspace.folder / ".dash"
    experiment = Experiment("a/b", dash_root=root)
    with experiment.run:
        record = find_record("a/b", dash_root=root)
        with pytest.raises(NotOverError, match=f"process {os.getpid()}"):
            remove_record(record)
    opening = next((root / "a/b/.record/openings").glob("*.jsonl"))
    first = json.loads(opening.read_text().partition("\n")[0])
    opening.write_text(json.dumps({**first, "host": "far", "boot": "other"}) + "\n")
    assert "exp close a/b" in workspace.exp("rm", "a/b", "--dash-root", root, code=4).stderr


def test_gc_keeps_the_trash_for_thirty_days(workspace: ExpWorkspace) -> None:
    """Younger removals stay, with their keys, unless a duration is given; older ones are deleted whole."""
    exp, run = workspace.exp, over(workspace, TRACKS)
    with run_keys.hold(workspace.home, key="nightly", name="tried") as held:
        held.add(run.id)
    run.remove(records=True)
    assert checked(exp("gc", "--json").json)["removed"] == []
    assert [item["kind"] for item in exp("gc", "--trash", "0s", "--dry-run", "--json").json["removed"]][
        :1
    ] == ["trash"]
    origin = next(workspace.home.trash.iterdir()) / "origin.json"
    values = json.loads(origin.read_text())
    origin.write_text(json.dumps({**values, "time": "2026-01-22T03:11:33.120Z"}))
    assert "trash" in {item["kind"] for item in exp("gc", "--json").json["removed"]}
    assert list(workspace.home.trash.iterdir()) == []
    assert "no experiment" in exp("status", run.id, code=3).stderr


def test_a_moved_home_keeps_its_trash(workspace: ExpWorkspace) -> None:
    """What is in the trash is restored to where its home is now."""
    run = over(workspace, TRACKS)
    run.remove(records=True)
    moved = workspace.folder / "moved"
    workspace.home.directory.rename(moved)
    restore(run.id, home=moved)
    assert find(run.id, home=moved).status().status == "COMPLETED"
    assert len(list((moved / "dash").rglob(".record"))) == 2
    moved.rename(workspace.home.directory)


@pytest.mark.parametrize("point", ["trash.origin:1", "trash.moved:2"])
def test_a_crash_loses_nothing(workspace: ExpWorkspace, point: str) -> None:
    """What was moved is in the trash, what was not is in its place; both removal and restore continue."""
    run = over(workspace, TRACKS)
    exp = workspace.exp
    before = contents(exp.home)
    assert exp("rm", run.id, "--records", code=None, env={crashpoints.VARIABLE: point}).code < 0
    exp("rm", run.id, "--records")
    while trash.removals(workspace.home):
        exp("rm", "--restore", run.id)
    exp("gc", "--trash", "0s")
    assert {name: data for name, data in contents(exp.home).items() if not name.startswith("trash")} == before


def test_of_two_removals_one_takes_it(workspace: ExpWorkspace) -> None:
    """The other finds that it was removed meanwhile, and leaves nothing in the trash."""
    run = over(workspace)
    plan = removal.plan_experiment(workspace.home, run.files, records=False)
    removal.carry_out(workspace.home, plan)
    with pytest.raises(NotFoundError):
        removal.carry_out(workspace.home, plan)
    assert len(list(workspace.home.trash.iterdir())) == 1
    with pytest.raises(NotFoundError):
        run.remove()


@pytest.mark.parametrize("part", ["experiments/tried", "experiments/tried/ID", "trash"])
def test_no_link_leads_out_of_the_home(workspace: ExpWorkspace, part: str) -> None:
    """An experiment behind a symbolic link is not moved, nor is anything moved to where one leads."""
    run = over(workspace)
    path = workspace.home.directory / part.replace("ID", run.id)
    outside = workspace.folder / "outside"
    shutil.move(path, outside) if path.exists() else outside.mkdir()
    path.symlink_to(outside)
    before = contents(outside)
    assert "symbolic link" in workspace.exp("rm", run.id, code=2).stderr
    assert contents(outside) == before


def test_a_forged_origin_moves_and_deletes_nothing(workspace: ExpWorkspace) -> None:
    """An origin that names a folder which no removal has is skipped with a warning, and never deleted."""
    run = over(workspace)
    victim = workspace.folder / "victim"
    victim.mkdir()
    run.remove()
    folder = next(workspace.home.trash.iterdir())
    values = json.loads((folder / "origin.json").read_text())
    for field in ("path", "trash"):
        forged = {**values, "items": [{**values["items"][0], field: str(victim)}]}
        (folder / "origin.json").write_text(json.dumps(forged))
        assert "cannot be read" in workspace.exp("rm", "--restore").stderr
        workspace.exp("gc", "--trash", "0s")
        assert victim.is_dir()
    (folder / "origin.json").write_text(json.dumps(values))
    restore(run.id)


def test_no_value_in_an_origin_is_a_fault(workspace: ExpWorkspace) -> None:
    """With any value in any place, the trash is listed and emptied, and nothing outside of it is touched."""
    run = over(workspace, TRACKS)
    run.remove(records=True)
    home = workspace.home
    folder = next(home.trash.iterdir())
    origin = folder / "origin.json"
    values = json.loads(origin.read_text())
    hostile = VALUES if IS_LONG else (None, "..", 2**31, {"a": None})
    texts = [dumped(replaced(values, place, value)) for place in pointers(values) for value in hostile]
    texts += [dumped(replaced(values, ("items", 0, "path"), MARK), raw) for raw in RAW]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnreadableWarning)
        for text in texts:
            origin.write_text(text)
            list(trash.expired(home))
            with contextlib.suppress(ExpError):
                trash.choose(home, run.id)
    origin.write_text(json.dumps(values))
    assert len(restore(run.id).items) == 3


def test_a_full_disk_leaves_everything_in_its_place(workspace: ExpWorkspace) -> None:
    """If the trash cannot be written, nothing was removed, and the error says so."""
    run = over(workspace)
    with mounted(workspace.home.trash, 16), full(workspace.home.trash):
        with pytest.raises((LedgerError, UsageError), match=r"nothing was removed|where it was"):
            run.remove()
        assert run.status().status == "COMPLETED"


def test_records_of_another_disk_stay_on_it(workspace: ExpWorkspace) -> None:
    """Records on another file system than the home are renamed there, and come back, or are deleted there."""
    root = workspace.folder / "dash"
    with mounted(root, 1024):
        for _ in range(2):
            with Experiment("a/b", dash_root=root).run:
                pass
            remove_record(find_record("a/b", dash_root=root))
            assert next(root.glob(".trash/*/1/openings"))
            assert list(trash.removals(workspace.home))
            restore("a/b")
            assert not (root / ".trash").exists()
        remove_record(find_record("a/b", dash_root=root))
        workspace.exp("gc", "--trash", "0s")
        assert not (root / ".trash").exists()


def aged(workspace: ExpWorkspace) -> Path:
    """The only removal in the trash, which is older than 30 days then."""
    folder = next(workspace.home.trash.iterdir())
    values = json.loads((folder / "origin.json").read_text())
    (folder / "origin.json").write_text(json.dumps({**values, "time": "2026-01-22T03:11:33.120Z"}))
    return folder


@pytest.mark.parametrize("is_empty", [True, False])
def test_records_of_an_unmounted_disk_can_come_back(workspace: ExpWorkspace, is_empty: object) -> None:
    """If their file system is away, the removal is kept with the reason, and each part can be restored."""
    disk, exp = workspace.folder / "disk", workspace.exp
    root, away = disk / "dash", disk / "away"
    with mounted(disk, 1024):
        run = over(workspace, TRACKS, tracking={"dash_root": str(root)})
        run.remove(records=True)
        folder = aged(workspace)
        root.rename(away)
        if is_empty:  # as a mount point is
            root.mkdir()
        for options in ([], ["--dry-run"]):
            document = checked(exp("gc", *options, "--json").json)
            assert "trash" not in {item["kind"] for item in document["removed"]}
            assert ["cannot be reached" in item["message"] for item in document["kept"]] == [True]
        listed = exp("rm", "--restore")
        assert (run.id in listed.stdout, listed.stderr.count("cannot be reached")) == (True, 2)
        assert "cannot be reached" in exp("rm", "--restore", run.id).stderr
        assert exp("status", run.id).code == 0
        assert "cannot be reached" in exp("rm", "--restore", run.id, code=7).stderr
        exp("gc")
        assert (folder / "origin.json").is_file()
        shutil.rmtree(root, ignore_errors=True)
        away.rename(root)
        exp("rm", "--restore", run.id)
        assert len(list(root.rglob(".record"))) == 2
        assert list(workspace.home.trash.iterdir()) == []
        run.remove(records=True)
        aged(workspace)
        exp("gc")
        assert (list(workspace.home.trash.iterdir()), (root / ".trash").exists()) == ([], False)


def test_a_deletion_continues_after_a_crash(workspace: ExpWorkspace) -> None:
    """What was deleted on another disk before a crash is not taken for something that cannot be reached."""
    root = workspace.folder / "dash"
    with mounted(root, 1024):
        with Experiment("a/b", dash_root=root).run:
            pass
        removed = remove_record(find_record("a/b", dash_root=root))
        removed.files.deleting.touch()
        shutil.rmtree(removed.items[0].trash)
        assert list(trash.removals(workspace.home)) == []
        assert trash.delete(workspace.home, removed.files) is None
        assert (removed.files.directory.exists(), (root / ".trash").exists()) == (False, False)


def test_only_what_is_gone_is_removed(workspace: ExpWorkspace) -> None:
    """A removal in whose folder something else lies is kept, and named with the reason."""
    run = over(workspace)
    run.remove()
    other = aged(workspace) / "other"
    (other / "folder").mkdir(parents=True)
    document = checked(workspace.exp("gc", "--json").json)
    assert [item["message"] for item in document["kept"]] == [f"{other.parent} could not be removed"]
    assert other.is_dir()


@pytest.mark.skipif(os.geteuid() != 0, reason="OWNERS ARE NOT TESTED: only root can change one")
def test_what_belongs_to_another_user_stays(workspace: ExpWorkspace) -> None:
    """A record or an experiment of another user, who could not restore it, is refused."""
    run = over(workspace, TRACKS)
    prefix = str(run.status().to_json()["prefix"])
    record = workspace.home.dash / prefix / ".record"
    for folder, words in (
        (record, [prefix]),
        (record, [run.id, "--records"]),
        (run.files.directory, [run.id]),
    ):
        os.chown(folder, 12345, -1)
        env = {"EXP_TRUST_OWNER": "12345"}
        assert "belongs to another user" in workspace.exp("rm", *words, code=2, env=env).stderr
        os.chown(folder, 0, -1)
    assert not workspace.home.trash.exists()


def test_what_is_opened_meanwhile_stays(workspace: ExpWorkspace) -> None:
    """A record that is open, or being opened, when it is to be moved stays, and nothing is in the trash."""
    root = workspace.folder / ".dash"
    with Experiment("a/b", dash_root=root).run:
        pass
    plan = removal.plan_record(workspace.home, find_record("a/b", dash_root=root))
    held = presence.hold(str(root / "a/b/.record/openings"), is_removal=False)
    assert held is not None
    with pytest.raises(NotOverError, match="stays"):
        removal.carry_out(workspace.home, plan)
    os.close(held)
    with Experiment("a/b", dash_root=root).run, pytest.raises(NotOverError, match="stays"):
        removal.carry_out(workspace.home, plan)
    assert list(workspace.home.trash.iterdir()) == []
    removal.carry_out(workspace.home, plan)


def test_an_opening_never_lies_in_the_trash(workspace: ExpWorkspace) -> None:
    """Of a program that opens a record while it is removed, all that it logs is where it was logged."""
    root, stop, faults = workspace.folder / ".dash", threading.Event(), []

    def opens() -> None:
        while not stop.is_set():
            experiment = Experiment("a/b", dash_root=root, print_logs=False)
            try:
                with experiment.run:
                    experiment.metrics("train").log(loss=1.0)
            except (ExpError, OSError) as error:
                faults.append(error)

    thread = threading.Thread(target=opens)
    thread.start()
    removed = 0
    for _ in range(500 if IS_LONG else 20):
        with contextlib.suppress(NotOverError, NotFoundError):
            remove_record(find_record("a/b", dash_root=root))
            removed += 1
    stop.set()
    thread.join()
    assert faults == []
    assert len(list(trash.removals(workspace.home))) == removed


def test_an_id_is_not_given_again(workspace: ExpWorkspace) -> None:
    """An experiment that starts in the second of a removed one has another id, and its records its own."""
    first = over(workspace, TRACKS)
    first.remove()
    name = first.id.rpartition("_")[0]
    document = load.read({"name": name, "tasks": {"one": TRACKS}})
    identity = Identity(id=first.id, name=name, directory=str(first.files.directory))
    spec = create.resolve(document, identity)
    files, _ = create.create(document, spec, identity, home=workspace.home, by="test")
    assert files.id == paths.next_id(first.id)
    trash.delete(workspace.home, next(iter(workspace.home.removals())))
    again, _ = create.create(document, spec, identity, home=workspace.home, by="test")
    assert again.id == paths.next_id(files.id)  # as the records of the first one were kept
