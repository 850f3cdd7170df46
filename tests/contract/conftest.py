"""The executors that the contract is tested on, a line each."""

from __future__ import annotations

import contextlib
import json
import os
from typing import TYPE_CHECKING

import pytest

pytest.register_assert_rewrite("nemorun_cli.contract.rules")

from engines.dockerd import of_this_session  # noqa: E402 - after the registration
from engines.far import SHARED as FAR  # noqa: E402
from engines.far import Far, far, far_session  # noqa: E402, F401 - fixtures
from engines.slurm_cluster import SHARED as CLUSTER  # noqa: E402
from engines.slurm_cluster import Slurm, slurm, slurm_session  # noqa: E402, F401 - fixtures
from engines.ssh_hosts import left as left_on_hosts  # noqa: E402
from engines.ssh_hosts import options as ssh_options  # noqa: E402
from engines.ssh_hosts import shown as shown_on_hosts  # noqa: E402
from support import in_process  # noqa: E402 - after the registration
from support.extent import IS_LONG  # noqa: E402

from nemorun_cli.contract import Subject, Workspace  # noqa: E402 - after the registration
from nemorun_cli.contract.fixtures import workspace  # noqa: E402, F401 - a fixture
from nemorun_cli.contract.report import pytest_runtest_makereport, pytest_terminal_summary  # noqa: E402, F401
from nemorun_cli.storage.paths import HOME_VARIABLE  # noqa: E402 - after the registration

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def objects(home: Path) -> list[str]:
    """The containers and networks of experiments under a home."""
    return [*of_this_session().containers(home), *of_this_session().networks(home)]


def inspected(home: Path) -> str:
    """All that the engine tells of them."""
    engine = of_this_session()
    with contextlib.closing(engine.client) as client:
        return json.dumps([client.api.inspect_container(name) for name in engine.containers(home)])


SUBJECTS = [
    Subject(name="local", options={"type": "local"}),
    Subject(
        name="docker",
        options={"type": "docker", "image": "exp-test/python"},
        needs="docker_engine",
        left=objects,
        shown=inspected,
    ),
    Subject(
        name="slurm",
        options={"type": "slurm"},
        needs="slurm",
        left=Slurm(CLUSTER).jobs,
        host="127.0.0.1",  # both nodes of the cluster are this machine, which has other names
        shown=Slurm(CLUSTER).shown,
    ),
    Subject(
        name="slurm through ssh",
        options=Far(FAR).options(),
        needs="far",
        left=Far(FAR).left,
        shown=Far(FAR).shown,
        work=Far(FAR).work,
        host="127.0.0.1",
        cannot={
            "test_a_task_knows_its_place": "its places are those of the far side",
            "test_files_belong_to_who_calls": "its files belong to the user of the far side",
        },
    ),
    Subject(
        name="ssh",
        options=ssh_options({"host": "box1", "slots": 16}),  # this machine may not forward between two
        needs="ssh_hosts",
        left=left_on_hosts,
        shown=shown_on_hosts,
        cannot={
            "test_a_task_knows_its_place": "its places are those of the host",
            "test_files_belong_to_who_calls": "$EXP_SHARED is that of the host",
        },
    ),
]

SHORT = {
    "ssh": {
        "test_exit_codes_are_reported",
        "test_what_a_task_leaves_behind_is_ended",
        "test_members_find_each_other",
        "test_cancel_ends_a_deaf_task",
        "test_resume_adopts_what_runs",
        "test_secrets_are_nowhere_to_be_found",
        "test_a_crash_at_any_point_runs_nothing_twice",
    }
}
"""The rules that the short form of the tests tries on these subjects; the long form tries all."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave rules to the long form of the tests."""
    if IS_LONG:
        return
    left_out = [item for item in items if _is_for_the_long_form(item)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def _is_for_the_long_form(item: pytest.Item) -> bool:
    call = getattr(item, "callspec", None)
    subject = call.params.get("subject") if call is not None else None
    rules = SHORT.get(subject.name) if isinstance(subject, Subject) else None
    return rules is not None and getattr(item, "originalname", item.name) not in rules


@pytest.fixture(params=SUBJECTS, ids=str)
def subject(request: pytest.FixtureRequest) -> Subject:
    """The executor under test."""
    found: Subject = request.param
    return found


def command(own: Workspace, *arguments: str | Path, env: Mapping[str, str] | None = None) -> str:
    """What `Workspace.command` returns, called in this process."""
    argv = [str(argument) for argument in arguments]
    variables = {**os.environ, HOME_VARIABLE: str(own.home.directory), **(env or {})}
    code, out, err = in_process.run(argv, program="exp", folder=own.folder, env=variables)
    assert code == 0, err
    return out


@pytest.fixture(autouse=True)
def _commands_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """As most tests do, those of the contract save themselves a process for each command."""
    monkeypatch.setattr(Workspace, "command", command)
