"""Tasks run where NeMo-Run's executors say, with what these give them."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from engines.dockerd import Dockerd
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

executor = DockerExecutor(
    container_image="exp-test/busybox", env_vars={"WORD": "a"}, ulimits=["nofile:99:99"]
)
options, keys = executor.translated()
with nemorun_cli.Builder("boxed") as exp:
    script = nemorun_cli.Script(inline='cat top.txt; ulimit -n; echo "$WORD"; ls', entrypoint="sh -e")
    exp.add(script, executor=options, name="box", **keys)
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
