"""Python environments of tasks on a host behind ssh: made there, and removed there by `exp gc --remote`."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from engines import ssh_hosts as engine
from support.extent import IS_LONG
from support.tiny_wheels import wheel
from support.workspace import log, statuses

from nemorun_cli.packagers.environments import interpreters

if TYPE_CHECKING:
    from engines.ssh_hosts import SshHosts
    from support.workspace import ExpWorkspace

LONG = 120.0  # seconds

if IS_LONG:

    def test_uv_makes_it_on_the_host(workspace: ExpWorkspace, ssh_hosts: SshHosts) -> None:
        """In the folder of this home there; with the experiment it is removed, by `exp gc --remote`."""
        del ssh_hosts
        with tempfile.TemporaryDirectory() as name:
            (Path(name) / "bin").mkdir()
            shutil.copy(interpreters.installer(), Path(name) / "bin" / "uv")
            wheel(Path(name) / "wheels")
            python = {"uv": ["--no-index", f"--find-links {name}/wheels", "tinypkg"]}
            shows = {"command": ["python", "-c", "import sys, tinypkg; print(sys.prefix)"], "python": python}
            boxes = engine.options("box1", pre_command=f"PATH={name}/bin:/usr/bin:/bin:$PATH")
            run = workspace.start({"one": shows}, executors={"boxes": boxes}, executor="boxes")
            final = run.wait(timeout=LONG)
        assert statuses(final) == {"one": "SUCCEEDED"}, final.history.tasks
        home = engine.home_of(workspace.home.directory)
        place = home / "environments" / run.spec().environments[0].id
        assert log(run, "one") == f"{place}\n"
        workspace.exp("rm", run.id)
        removed = workspace.exp("gc", "--remote", "--trash", "0s", "--json").json["removed"]
        assert {"remote_experiment", "remote_environment"} <= {each["kind"] for each in removed}
        assert not place.exists()
