"""How a tunnel is described, how ssh is called for it, and where files lie on its far side."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.other_user import OTHER_UID

from nemorun_cli.errors import EngineError
from nemorun_cli.executors.remote_hosts import ssh_client
from nemorun_cli.executors.remote_hosts.remote_paths import RemotePaths, owner
from nemorun_cli.executors.remote_hosts.ssh_client import Tunnel
from nemorun_cli.model.plan import Plan
from nemorun_cli.storage.paths import ExperimentFiles

if TYPE_CHECKING:
    from support.other_user import OtherUser

TUNNEL = Tunnel(host="login", job_dir="/scratch/me")
NOTE = Path("slurm", "remote.json")


def test_the_supervisor_never_asks() -> None:
    """Only the foreground asks; host keys are left to ssh's own settings, and one connection serves all."""
    for asks, word in ((False, "yes"), (True, "no")):
        argv = TUNNEL.shell(asks=asks)
        assert f"BatchMode={word}" in argv
        assert "ControlMaster=auto" in argv
        assert not any("HostKey" in part for part in argv)
        assert argv[-3:] == ["--", "login", "exec /bin/sh"]
    rsync = TUNNEL.rsync("-r")
    assert "BatchMode=yes" in shlex.split(rsync[rsync.index("--rsh") + 1])


def test_no_shell_of_the_host_reads_a_path_of_rsync() -> None:
    """Old versions of rsync give paths to a shell of the host, unless they are told not to."""
    assert "-s" not in TUNNEL.rsync("-r", "--", "/home/$(id)/", "login:/scratch/me/a=1~b/")
    for path in ("/a b", "/$(id)", "/a;id", "/a'b"):
        assert "-s" in TUNNEL.rsync("-r", "--", f"login:{path}/", "/home/me/")


def test_sockets_lie_where_nobody_else_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder for connections that others may enter, or that is a link, is not used."""
    monkeypatch.setattr(ssh_client, "SOCKETS", str(tmp_path / "open"))
    (tmp_path / "open").mkdir(mode=0o755)
    with pytest.raises(EngineError, match="not private to you"):
        TUNNEL.ssh()
    (tmp_path / "private").mkdir(mode=0o700)
    (tmp_path / "open").rmdir()
    (tmp_path / "open").symlink_to(tmp_path / "private")
    with pytest.raises(EngineError, match="not private to you"):
        TUNNEL.ssh()


TAKEN = """
import os, stat, sys
from nemorun_cli.executors.remote_hosts import ssh_client
tunnel = ssh_client.Tunnel(host="login", job_dir="/scratch")
for ssh_client.SOCKETS in sys.argv[1:]:
    for _ in range(2):
        folder = os.path.dirname(tunnel.socket)
        print(folder, os.stat(folder).st_uid, oct(os.stat(folder).st_mode), folder in " ".join(tunnel.ssh()))
"""
TAKE = """
import os, sys
take = {"folder": os.mkdir, "link": lambda path: os.symlink("/", path), "file": os.mknod}
for path in sys.argv[1:]:
    for taken in (path, f"{path}-a"):
        take[os.path.basename(path)](taken)
"""


def test_nobody_can_take_all_names_of_the_folder(other_users: tuple[OtherUser, OtherUser]) -> None:
    """Where another user has taken the name, by a folder, a link or a file, one other folder is used."""
    taker, user = other_users
    shared = taker.top / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    names = [shared / kind for kind in ("folder", "link", "file")]
    taker.python(TAKE, *names)
    lines = user.python(TAKEN, *names).splitlines()
    assert lines[::2] == lines[1::2], "the second connection is in the folder of the first"
    for name, line in zip(names, lines[::2], strict=True):
        folder, *rest = line.split()
        assert folder.startswith(f"{name}-")
        assert folder != f"{name}-a"
        assert rest == [str(OTHER_UID), "0o40700", "True"]


# -- places -----------------------------------------------------------------------------------------------


def planned(folder: Path, **changes: Any) -> Plan:
    """A plan of an experiment here."""
    env = {
        "EXP_DIR": str(folder),
        "NEMORUN_HOME": "/home/me",
        "EXP_DASH_ROOT": "/kept",
        "OTHER": f"{folder}2",
    }
    values: dict[str, Any] = {
        "experiment": folder.name,
        "task": "one",
        "attempt": 1,
        "executor": "far",
        "kind": "inline",
        "argv": ("bash", f"{folder}/tasks/one/attempt-1/script", f"--out={folder}"),
        "workdir": f"{folder}/code/0123",
        "folder": "/home/me/work",
        "env": env,
        "stop_signal": "TERM",
        "stop_grace": 10.0,
    }
    return Plan(**(values | changes))


def test_places_are_moved_and_nothing_else() -> None:
    """The experiment's folder is another one there wherever it is named; what only begins like it is left."""
    folder = Path("/home/me/.nemo_run/experiments/tried/tried_17")
    there = f"/scratch/me/{owner(Path('/home/me/.nemo_run'))}"
    moved = RemotePaths(TUNNEL, ExperimentFiles(folder), note=folder / NOTE).plan(
        planned(folder, script=f"cat {folder}/a '{folder}-2/b'")
    )
    assert moved.argv == (
        "bash",
        f"{there}/tried/tried_17/tasks/one/attempt-1/script",
        f"--out={there}/tried/tried_17",
    )
    assert moved.script == f"cat {there}/tried/tried_17/a '{folder}-2/b'"
    assert moved.workdir == f"{there}/tried/tried_17/code/0123"
    assert moved.env == {
        "EXP_DIR": f"{there}/tried/tried_17",
        "NEMORUN_HOME": there,
        "EXP_DASH_ROOT": f"{there}/dash",
        "OTHER": f"{folder}2",
    }


def test_a_place_stays_what_it_was(tmp_path: Path) -> None:
    """Where files lie there is written down, and counts, should host or spec say otherwise later."""
    files = ExperimentFiles(tmp_path / "experiments" / "tried" / "tried_17")
    files.directory.mkdir(parents=True)
    first = RemotePaths(TUNNEL, files, note=files.directory / NOTE)
    first.save()
    later = RemotePaths(Tunnel(host="login", job_dir="/elsewhere"), files, note=files.directory / NOTE)
    assert later.folder == first.folder
    assert json.loads((files.directory / NOTE).read_text())["host"] == "login"
