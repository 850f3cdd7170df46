"""A clock that is set while an experiment runs: nothing that runs notices."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.patience import eventually

if TYPE_CHECKING:
    from support.faked_clock import FakedClock
    from support.workspace import Exp

SPEC = """
name: steps
run: {timeout: 100, max_parallel: 3}
tasks:
  retried: {inline: 'test $EXP_ATTEMPT = 2', retry: {limit: 1, delay: 1}}
  long: {inline: 'touch begun; until test -e release; do sleep 0.1; done'}
  stopped: {inline: "sleep 100", timeout: 2, stop_grace: 1}
"""


def test_a_step_of_the_clock_changes_nothing_that_runs(exp: Exp, faked_clock: FakedClock) -> None:
    """Retry delays, timeouts, `wait --timeout` and durations are the same when the clock is set by hours."""
    env = faked_clock.env
    which = exp.process("run", exp.spec(SPEC), "-d", env=env).stdout.strip()
    waiting = exp.start("wait", which, "--timeout", "100s", env=env)
    eventually((exp.folder / "begun").exists)
    eventually(lambda: exp.task("retried", which)["attempt"] == 2)
    eventually(lambda: exp.task("stopped", which)["started"])
    faked_clock.set(-3600)  # the retry is not due before an hour by the wall clock
    why = exp.process("why", which, "retried", env=env).stdout
    assert "retried in 59m" not in why
    eventually(lambda: exp.task("retried", which)["status"] == "SUCCEEDED")
    faked_clock.set(+7200)  # both timeouts have passed by the wall clock
    eventually(lambda: exp.task("stopped", which)["reason"] == "timeout")
    (exp.folder / "release").touch()
    assert waiting.communicate(timeout=60)[1] is not None
    assert waiting.returncode == 1
    found = exp.status(which)
    assert 0 < found["active"] < 60
    tasks = {task["id"]: task for task in found["tasks"]}
    assert tasks["long"]["status"] == "SUCCEEDED"
    for name in ("long", "stopped"):
        assert 0 < tasks[name]["duration"] < 60, name
