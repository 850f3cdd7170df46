"""What experiments leave on hosts over ssh is removed when they are deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engines.ssh_hosts import home_of, options, ssh_hosts, ssh_hosts_session  # noqa: F401 - fixtures
from support.extent import IS_LONG

if TYPE_CHECKING:
    from engines.ssh_hosts import SshHosts
    from support.workspace import ExpWorkspace

if IS_LONG:

    def test_the_folder_of_a_deleted_experiment_is_removed(
        workspace: ExpWorkspace, ssh_hosts: SshHosts
    ) -> None:
        """Once, although two hosts share it; that of another experiment stays."""
        del ssh_hosts  # it has set the variables that lead to the hosts
        header = {"executors": {"boxes": options("box1", "box2")}, "executor": "boxes"}
        runs = [workspace.start({"a": "true", "b": "true"}, name=name, **header) for name in ("x", "y")]
        for run in runs:
            assert run.wait(timeout=100).status == "COMPLETED"
        there = [home_of(workspace.home.directory) / run.directory.parent.name / run.id for run in runs]
        assert [path.is_dir() for path in there] == [True, True]
        workspace.exp("rm", runs[0].id)
        removed = workspace.exp("gc", "--remote", "--trash", "0s", "--json").json["removed"]
        assert [each["id"] for each in removed if each["kind"] == "remote_experiment"] == [runs[0].id]
        assert [path.is_dir() for path in there] == [False, True]
