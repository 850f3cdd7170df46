"""What another user could have changed is refused, or skipped and named; what a group shares is used."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from support import other_user
from support.other_user import OTHER_UID, UID
from support.patience import eventually

from nemorun_cli.errors import LedgerError, UntrustedError, UsageError
from nemorun_cli.experiment import launch
from nemorun_cli.experiment.run import find
from nemorun_cli.packagers import content_store
from nemorun_cli.storage.paths import Home
from nemorun_cli.system import owners
from nemorun_cli.views.reports import owner_checks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.other_user import OtherUser
    from support.workspace import Exp, ExpWorkspace

SPEC = "name: {name}\ntasks: {{a: {{inline: 'id -u'}}}}\n"
TRUST = "EXP_TRUST_OWNER"
CONTENT = "code/0123456789abcdef"
COMMANDS = (
    ("list",), ("list", "--json"), ("status",), ("wait", "a"), ("logs", "a"), ("why", "a"), ("show", "a"),
    ("graph", "a"), ("events", "a"), ("fsck", "a"), ("metrics", "a"), ("params", "a"), ("files", "a"),
    ("records",), ("compare", "a"), ("diff", "a", "a"), ("gc",), ("cancel", "a"), ("resume", "a"),
    ("rerun", "a"),
)  # fmt: skip

# Prints what `exp doctor` reports about a home.
CHECKS = """
import pathlib, sys
from nemorun_cli.storage.paths import Home
from nemorun_cli.views.reports import doctor_report, owner_checks
home = Home(pathlib.Path(sys.argv[1]))
for check in (*doctor_report.of_home(home), *owner_checks.of_owners(home, pathlib.Path.cwd())):
    print(check.state, check.message, check.remedy)
"""

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="OWNERS ARE NOT TESTED: only root can change one")


@pytest.fixture(scope="module")
def users() -> Iterator[tuple[OtherUser, OtherUser]]:
    """Two users, of whom the first has run the experiment `a`."""
    with other_user.made() as (owner, stranger):
        owner.exp("run", owner.write("a.yaml", SPEC.format(name="a")), "-q")
        yield owner, stranger


@contextmanager
def changed(path: Path, *, uid: int | None = None, mode: int | None = None) -> Iterator[Path]:
    """Another owner or mode of a file or folder inside the block."""
    status = path.stat()
    try:
        os.chown(path, status.st_uid if uid is None else uid, -1)
        path.chmod(status.st_mode if mode is None else mode)
        yield path
    finally:
        os.chown(path, status.st_uid, status.st_gid)
        path.chmod(status.st_mode)


# -- homes ------------------------------------------------------------------------------------------------


def test_home_of_another_user_is_refused_by_every_command(users: tuple[OtherUser, OtherUser]) -> None:
    """Exit code 2 with the owner and the remedy, for readers, writers and `run`; completion is silent."""
    owner, stranger = users
    spec = stranger.write("mine.yaml", SPEC.format(name="mine"))
    commands = [*COMMANDS, ("run", spec), ("validate", spec)]
    for argv, done in zip(commands, stranger.each(*commands, NEMORUN_HOME=owner.home), strict=True):
        text = done.stdout if "--json" in argv else done.stderr
        assert (done.code, f"belongs to uid {UID}" in text) == (2, True), (argv, done)
        assert f"{TRUST}={UID}" in text, argv
        assert "NEMORUN_HOME" in text, argv
    words = stranger.exp(
        NEMORUN_HOME=owner.home, _EXP_COMPLETE="complete_bash", COMP_WORDS="exp status ", COMP_CWORD="2"
    )
    assert (words.stdout.strip(), words.stderr) == ("", "")


def test_home_that_may_not_be_entered_names_what_is_in_the_way(users: tuple[OtherUser, OtherUser]) -> None:
    """No command shows an empty table, or a fault of `exp`, for a home below a closed folder."""
    owner, stranger = users
    commands = [*COMMANDS, ("doctor",)]
    with changed(owner.folder, mode=0o700):
        for argv, done in zip(commands, stranger.each(*commands, NEMORUN_HOME=owner.home), strict=True):
            text = done.stdout if "--json" in argv else done.stderr
            assert done.code == 2, (argv, done)
            assert f"{owner.folder} belongs to uid {UID}" in text, (argv, done)


def test_root_reads_a_users_home_only_if_it_trusts_the_user(
    users: tuple[OtherUser, OtherUser], exp: Exp
) -> None:
    """Root's `resume` runs nothing of a user, and the remedy names sudo; the variable permits all."""
    owner, _ = users
    theirs = {"NEMORUN_HOME": str(owner.home)}
    for argv in (("list",), ("status", "a"), ("resume", "a", "--from", "a"), ("gc",)):
        refused = exp(*argv, code=2, env=theirs)
        assert f"sudo -u '#{UID}' exp" in refused.stderr, argv
    trusting = {**theirs, TRUST: f"{OTHER_UID}, {UID}"}
    assert "a_" in exp("list", env=trusting).stdout
    assert exp("logs", "a", env=trusting).stdout == f"{UID}\n"
    wrong = exp("list", code=2, env={**theirs, TRUST: f"{UID},me"})
    assert "'me', which is not a uid" in wrong.stderr


def test_another_users_attempt_is_observed_without_a_trace(
    users: tuple[OtherUser, OtherUser], exp: Exp
) -> None:
    """What root would create while it looks at a task, its user could not write to."""
    owner, _ = users
    go = owner.folder / "go"
    task = f"until [ -e {go} ]; do sleep 0.02; done; echo x=1 >> $EXP_OUTPUT"
    text = f"name: left\ntasks: {{a: {{inline: '{task}'}}}}\n"
    which = owner.exp("run", owner.write("left.yaml", text), "-d", "-q").stdout.strip()
    theirs = {"NEMORUN_HOME": str(owner.home), TRUST: str(UID)}

    def running() -> dict[str, Any] | None:
        snapshot = exp("status", which, "--json", env=theirs).json
        return snapshot if snapshot["tasks"][0]["status"] == "RUNNING" else None

    snapshot = eventually(running)
    os.kill(snapshot["supervisor"]["pid"], 9)
    directory = owner.home / "experiments" / "left" / which

    def foreign() -> list[Path]:
        return [path for path in (owner.home, *owner.home.rglob("*")) if path.lstat().st_uid != UID]

    eventually(lambda: exp("status", which, "--json", env=theirs).json["supervisor"]["state"] != "alive")
    ledger = (directory / "ledger.jsonl").read_bytes()
    assert exp("status", which, "--json", env=theirs).json["tasks"][0]["status"] == "RUNNING"
    exp("list", env=theirs)
    assert foreign() == []
    owner.write("go", "")
    eventually(lambda: exp("status", which, "--json", env=theirs).json["tasks"][0]["status"] == "SUCCEEDED")
    assert (foreign(), (directory / "ledger.jsonl").read_bytes()) == ([], ledger)
    status, resumed = owner.each(("status", which, "--json"), ("resume", which, "-q"))
    assert status.json["tasks"][0]["status"] == "SUCCEEDED"
    assert (status.code, resumed.code) == (0, 0)


@needs_root
@pytest.mark.parametrize("part", ["experiments", "keys", "slots", "code", "faults", "."])
def test_each_part_of_a_home_has_to_be_trusted(exp: Exp, part: str) -> None:
    """The folders in a home by which others could change or stop what is run: by owner, and by mode."""
    path = exp.home / part
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    assert exp("list").code == 0
    with changed(path, uid=UID):
        assert f"belongs to uid {UID}" in exp("list", code=2).stderr
        assert exp("list", env={TRUST: str(UID)}).code == 0
        with pytest.raises(UsageError, match="belongs to"):
            find(home=Home(exp.home))
        with pytest.raises(UsageError, match="belongs to"):
            launch.run({"name": "a", "tasks": {"a": {"command": "true"}}}, home=Home(exp.home))
    with changed(path, mode=0o777):
        refused = exp("list", code=2).stderr
        assert "everybody may write to it" in refused
        assert "chmod o-w" in refused
    with changed(path, mode=0o1777):
        refused = exp("list", code=2).stderr
        assert ("chmod" in refused, "inside of it" in refused) == (False, True)
    with changed(path, mode=0o2775):
        assert exp("list").code == 0


@needs_root
def test_new_folders_that_belong_to_another_user_stop_a_run(exp: Exp) -> None:
    """In a folder of a name that another user made first, nothing is created."""
    theirs = exp.home / "experiments" / "train"
    theirs.mkdir(parents=True)
    os.chown(theirs, UID, UID)
    refused = exp("run", exp.spec(SPEC.format(name="train")), "-q", code=2)
    assert f"{theirs} is not used: it belongs to uid {UID}" in refused.stderr
    assert list(theirs.iterdir()) == []


def test_a_symbolic_link_to_a_home_is_judged_by_its_target(users: tuple[OtherUser, OtherUser]) -> None:
    """A user reaches its home by a link, whoever made it; a link to a home of another user is refused."""
    owner, stranger = users
    link = owner.top / "link"
    link.symlink_to(owner.home)
    assert "a_" in owner.exp("list", NEMORUN_HOME=link).stdout
    assert stranger.exp("list", code=2, NEMORUN_HOME=link).stdout == ""


# -- experiments ------------------------------------------------------------------------------------------


@pytest.fixture
def planted(exp: Exp) -> tuple[str, Path]:
    """The id of an experiment of this user, and a newer one of the same name that is a copy of it."""
    if os.geteuid() != 0:
        pytest.skip("OWNERS ARE NOT TESTED: only root can change one")
    exp("run", exp.spec(SPEC.format(name="mine")), "-q")
    mine = exp("run", exp.spec(SPEC.format(name="train")), "-q").stdout.strip()
    directory = exp.home / "experiments" / "train" / mine
    copy = directory.with_name(f"train_{int(mine.rpartition('_')[2]) + 60}")
    shutil.copytree(directory, copy, ignore=shutil.ignore_patterns("wake"))
    return mine, copy


@pytest.mark.parametrize("part", [".", "ledger.jsonl", "resolved.json"])
def test_experiment_of_another_user_is_skipped_and_named(
    exp: Exp, planted: tuple[str, Path], part: str
) -> None:
    """The name and `latest` mean this user's own; lists continue; the experiment itself is refused with 2."""
    mine, copy = planted
    copy.chmod(0o700 if part == "." else 0o2770)  # a group's, in which files may have other owners
    with changed(copy / part, uid=UID):
        listed = exp("list", "--json")
        entries = {entry["id"]: entry for entry in listed.json["experiments"]}
        assert len(entries) == 3
        assert entries[copy.name]["status"] is None
        assert f"belongs to uid {UID}" in entries[copy.name]["problem"]
        assert f"{copy.name}: " in listed.stderr
        for argv in (("status", "train"), ("logs", "train"), ("gc",)):
            assert str(copy) in exp(*argv).stderr, argv
        assert exp("status", "latest", "--json").json["id"] == mine
        for command in ("status", "resume", "cancel", "rerun", "fsck"):
            refused = exp(command, copy.name, code=2)
            assert f"belongs to uid {UID}" in refused.stderr, command
        assert exp("status", copy.name, env={TRUST: str(UID)}).code == 0


def test_folder_of_a_name_of_another_user_hides_no_other(exp: Exp, planted: tuple[str, Path]) -> None:
    """Its experiments are skipped, whoever owns them, and the folder is named."""
    _, copy = planted
    with changed(copy.parent, uid=UID):
        listed = exp("list", "--json")
        assert [entry["name"] for entry in listed.json["experiments"]] == ["mine"]
        assert f"{copy.parent} is not used: it belongs to uid {UID}" in listed.stderr
        assert exp("status", "train", code=2).stdout == ""
        assert exp("resume", copy.name, code=2).stdout == ""


def test_a_file_of_another_user_in_a_groups_experiment_is_not_run(
    exp: Exp, planted: tuple[str, Path]
) -> None:
    """Who may write to the folder, as a group does, cannot replace what a resume or a rerun runs."""
    _, copy = planted
    which = copy.name
    commands = (("resume", which, "--from", "a"), ("resume", which, "-p", "x=1"), ("rerun", which))
    copy.chmod(0o2770)
    for name in ("spec.yaml", "source.json", "shim", "scripts/x/y.sh", "revisions/1/spec.yaml", CONTENT):
        path = copy / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        with changed(path, uid=UID):
            for argv in commands:
                assert f"{path} is not used: it belongs to uid {UID}" in exp(*argv, code=2).stderr
        assert exp("status", which).code == 0


# -- executors --------------------------------------------------------------------------------------------


@pytest.fixture
def project(exp: Exp) -> Path:
    """A project's file of executors, and the user's, which both have an executor `mine`."""
    exp.home.mkdir(mode=0o700)
    (exp.home / "executors.yaml").write_text("executors: {mine: {type: local, env: {FROM: user}}}\n")
    return exp.spec("executors: {mine: {type: local, env: {FROM: project}}}\n", ".nemorun/executors.yaml")


@needs_root
def test_executors_of_another_user_are_refused(exp: Exp, project: Path) -> None:
    """The file and its folder, of the project and of the user: exit code 2 with the place and the remedy."""
    spec = exp.spec("name: x\ntasks: {a: {inline: 'echo $FROM', executor: mine}}\n")
    plain = exp.spec(SPEC.format(name="plain"), "plain.yaml")
    for path in (project, project.parent, exp.home / "executors.yaml"):
        with changed(path, uid=UID):
            for command in ("run", "validate"):
                refused = exp(command, spec, code=2).stderr
                assert f"{path} is not used: it belongs to uid {UID}" in refused, path
                assert f"{TRUST}={UID}" in refused
            assert exp("validate", plain).code == 0, "a spec that needs no such file is not affected"
            assert exp("validate", spec, env={TRUST: str(UID)}).code == 0
    with changed(project, mode=0o666):
        assert "chmod o-w" in exp("validate", spec, code=2).stderr
    for mode in (0o777, 0o1777):
        with changed(project.parent, mode=mode):
            exp("run", spec, "-q")
            assert exp("logs", "x").stdout == "user\n", "passed over"
    with changed(project, mode=0o664), changed(project.parent, mode=0o2775):
        exp("run", spec, "-q")
        assert exp("logs", "x").stdout == "project\n"


def test_executors_that_may_not_be_read_stop_only_who_is_below(users: tuple[OtherUser, OtherUser]) -> None:
    """A closed `.nemorun` in a folder that everybody may write to is passed over, else it is an error."""
    owner, stranger = users
    closed = owner.top / "shared" / ".nemorun"
    closed.mkdir(parents=True)
    owner.owns(closed, 0o700)
    inner = closed.parent / "mine"
    inner.mkdir()
    spec = inner / "x.yaml"
    spec.write_text("name: x\ntasks: {a: {command: 'true', executor: mine}}\n")
    stranger.owns(inner)
    closed.parent.chmod(0o1777)
    assert "no executor is called 'mine'" in stranger.exp("validate", spec, code=2).stderr
    closed.parent.chmod(0o755)
    refused = stranger.exp("validate", spec, code=2)
    assert f"belongs to uid {UID}" in refused.stderr


# -- groups, and the doctor -------------------------------------------------------------------------------


def test_users_with_umask_002_and_group_folders_notice_nothing(users: tuple[OtherUser, OtherUser]) -> None:
    """A home that a group may write to is used by its owner, and reported by the doctor."""
    owner, stranger = users
    home = owner.folder / "group-home"
    home.mkdir()
    owner.owns(home, 0o2775)
    spec = owner.write("g.yaml", SPEC.format(name="g"))
    ran, listed = owner.each(("run", spec, "-q"), ("list", "-q"), umask=0o002, NEMORUN_HOME=home)
    assert (ran.code, listed.code) == (0, 0)
    assert listed.stdout == ran.stdout
    assert ran.stdout.startswith("g_")
    report = owner.python(CHECKS, home)
    assert f"members of the group gid {UID} can change what exp runs as you: {home}" in report
    assert f"chmod g-w {home}" in report
    theirs = stranger.python(CHECKS, home)
    assert f"{home} is not used: it belongs to uid {UID}" in theirs
    assert "is writable" not in theirs


@needs_root
def test_doctor_reports_what_others_can_change(exp: Exp, project: Path) -> None:
    """Groups by the folders that they can reach, executors that are not used, and parents of the home."""
    exp("run", exp.spec(SPEC.format(name="a")), "-q")
    home = Home(exp.home)

    def reports() -> list[str]:
        return [check.message for check in owner_checks.of_owners(home, exp.folder) if check.state != "well"]

    assert reports() == []
    inner = home.experiments / "a"
    os.chown(inner, -1, UID)
    with changed(inner, mode=0o770):
        assert reports() == [], "no group reaches it"
        with changed(exp.home, mode=0o750), changed(home.experiments, mode=0o750):
            assert [str(inner) in text for text in reports()] == [False, True], "privacy, group"
    with changed(project, uid=UID):
        assert f"{project} is not used" in reports()[0]
    with changed(exp.home.parent, mode=0o777):
        assert f"everybody can rename what is in {exp.home.parent}" in reports()[0]
    with changed(exp.home.parent, uid=UID):
        assert f"uid {UID} can rename" in reports()[0]


# -- the rule ---------------------------------------------------------------------------------------------


def test_the_variable_lists_uids(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers between commas, and spaces; this user and root are always trusted."""
    own = {os.geteuid(), 0}
    for text, more in (("", set()), ("1000", {1000}), (" 7 , 65534,", {7, 65534})):
        monkeypatch.setenv(TRUST, text)
        assert owners.trusted() == own | more
    for text in ("me", "-1", "1000:1000", "٣", "1,x", "9" * 5000):
        monkeypatch.setenv(TRUST, text)
        with pytest.raises(UsageError, match=TRUST):
            owners.trusted()


@needs_root
def test_shipped_code_of_another_user_is_not_used(workspace: ExpWorkspace) -> None:
    """In the store of a group's home, a content that another member put there could be anything."""
    digest = "0" * 64
    folder = content_store.place(workspace.home, digest)
    folder.mkdir(parents=True)
    assert content_store.has(workspace.home, digest)
    os.chown(folder, UID, UID)
    with pytest.raises(UsageError, match=f"belongs to uid {UID}"):
        content_store.has(workspace.home, digest)


def test_who_skips_what_cannot_be_read_skips_what_is_not_trusted() -> None:
    """The error about an experiment of another user is one about its ledger, with the code of wrong usage."""
    assert issubclass(UntrustedError, LedgerError)
    assert UntrustedError("x").exit_code == 2
