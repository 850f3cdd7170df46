"""Tasks run where NeMo-Run's executors say, with what these give them."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from engines.dockerd import Dockerd
    from engines.slurm_cluster import Slurm
    from support.workspace import Exp

LOCAL = """
import nemorun_cli
from nemorun_cli.nemo.executors import LocalExecutor

executor = LocalExecutor(env_vars={"WORD": "$a b"}, retries=1)
options, keys = executor.translated()
with nemorun_cli.Builder("local") as exp:
    script = nemorun_cli.Script(inline='test "$EXP_ATTEMPT" = 2 && echo "[$WORD]"')
    exp.add(script, executor=options, name="again", **keys)
    exp.run()
"""
DOCKER = """
import nemorun_cli
from nemorun_cli.nemo.executors import DockerExecutor

image = "exp-test/busybox"
executor = DockerExecutor(container_image=image, env_vars={"WORD": "a"}, ulimits=["nofile:99:99"])
options, keys = executor.translated()
with nemorun_cli.Builder("boxed") as exp:
    script = nemorun_cli.Script(inline='cat top.txt; ulimit -n; echo "$WORD"; ls', entrypoint="sh -e")
    exp.add(script, executor=options, name="box", **keys)
    exp.run()
"""

SLURM = """
import nemorun_cli
from nemorun_cli.nemo.executors import SlurmExecutor
from nemorun_cli.nemo.packagers import Packager

executor = SlurmExecutor(
    account="vision",
    time="00:02:00",
    ntasks_per_node=2,
    job_name_prefix="team-",
    setup_lines="export SET=up",
    env_vars={"WORD": "a b"},
    packager=Packager(),
)
executor.stderr_to_stdout = False
options, keys = executor.translated()
one = nemorun_cli.Script(inline='echo "$SLURM_PROCID $SET $WORD $SLURM_JOB_NAME"; echo apart >&2')
failing = nemorun_cli.Script(inline='[ "$SLURM_PROCID" = 0 ] || exit 3; sleep 600')
with nemorun_cli.Builder("batch") as exp:
    exp.add(one, executor=options, name="two", **keys)
    exp.add(failing, executor=options, name="failing", **keys)
    executor.ntasks_per_node = 1
    exp.add([one, one], executor=executor.translated()[0], name="group", **SlurmExecutor.group_keys())
    exp.run()
"""


def test_a_local_executor_gives_variables_and_retries(exp: Exp) -> None:
    """NeMo-Run ignores `retries` there; here it counts on every executor."""
    exp("run", exp.spec(LOCAL, name="program.py"), "-q")
    assert exp("logs", "local", "again").stdout == "[$a b]\n"


@pytest.mark.engine
def test_a_docker_executor_runs_in_the_root_of_the_repository(exp: Exp, docker_engine: Dockerd) -> None:
    """The commit is shipped, without what was changed since, and a task starts in its root."""
    del docker_engine
    program = exp.spec(DOCKER, name="programs/program.py")
    (exp.folder / "top.txt").write_text("committed\n", encoding="utf-8")
    identity = ("-c", "user.name=x", "-c", "user.email=x@y")
    for arguments in (["init", "-q"], ["add", "."], [*identity, "commit", "-q", "-m", "first"]):
        subprocess.run(["git", *arguments], cwd=exp.folder, check=True)
    (exp.folder / "top.txt").write_text("changed\n", encoding="utf-8")
    exp("run", program, "-q")
    assert exp("logs", "boxed", "box").stdout.split() == ["committed", "99", "a", "programs", "top.txt"]


@pytest.mark.engine
def test_a_slurm_executor_starts_the_processes_of_one_job(exp: Exp, slurm: Slurm) -> None:
    """Each process has what the executor gives; the first one that fails ends the others of its job."""
    del slurm
    exp("run", exp.spec(SLURM, name="program.py"), "-q", code=1)
    tasks = {task["id"]: task for task in exp("show", "batch", "--json").json["tasks"]}
    assert {name: task["status"] for name, task in tasks.items()} == {
        "two": "SUCCEEDED",
        "failing": "FAILED",
        "group/0": "SUCCEEDED",
        "group/1": "SUCCEEDED",
    }
    assert sorted(exp("logs", "batch", "two").stdout.splitlines()) == [
        "0 up a b team-two",
        "1 up a b team-two",
    ]
    assert exp("logs", "batch", "two", "--stderr").stdout == "apart\napart\n"
    assert tasks["group/0"]["job_id"].partition("+")[0] == tasks["group/1"]["job_id"].partition("+")[0]
