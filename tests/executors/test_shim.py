"""The shim, run by each shell there is: one attempt, its claim, its signals, its timeout, its record."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from support.patience import eventually
from support.workspace import until

from nemorun_cli.executors import shim_call
from nemorun_cli.executors.process_tree import WATCHDOG_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Callable

SHIM = shim_call.SHIM
SHELLS = [
    pytest.param(argv, id=argv[0])
    for argv in (["dash"], ["bash", "--posix"], ["busybox", "sh"], ["ksh"], ["zsh", "--emulate", "sh"])
    if shutil.which(argv[0])
]


@pytest.fixture
def attempt(tmp_path: Path) -> Path:
    folder = tmp_path / "attempt 'odd' $name"
    folder.mkdir()
    return folder


def start(
    attempt: Path,
    *argv: str,
    shell: list[str] | None = None,
    timeout: str = "0",
    stop: str = "TERM",
    grace: str = "5",
    umask: str = "022",
    workdir: str = "/",
    **options: Any,
) -> subprocess.Popen[bytes]:
    line = [*(shell or ["sh"]), str(SHIM), str(attempt), workdir, umask, timeout, stop, grace, *argv]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "start_new_session": True, **options}
    return subprocess.Popen(line, stdin=subprocess.DEVNULL, **options)


def run(attempt: Path, *argv: str, **options: Any) -> tuple[int, bytes]:
    with start(attempt, *argv, **options) as process:
        output, _ = process.communicate(timeout=60)
    return process.returncode, output


def record(attempt: Path) -> Any:
    return json.loads((attempt / "exit.json").read_text())


def group(leader: int) -> list[psutil.Process]:
    """The processes of a group that still run."""
    found = []
    for process in psutil.process_iter(["status"]):
        try:
            if os.getpgid(process.pid) == leader and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue
    return found


def watchdog(attempt: Path) -> list[psutil.Process]:
    """The watchdog of an attempt and what it started."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(WATCHDOG_VARIABLE) == str(attempt):
                found.append(process)
        except psutil.Error:
            continue
    return found


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("code", [0, 1, 3, 127, 255])
def test_exit_code_is_recorded_and_passed_on(attempt: Path, shell: list[str], code: int) -> None:
    """The record holds the task's exit code, and the shim ends with it."""
    assert run(attempt, "/bin/sh", "-c", f"exit {code}", shell=shell) == (code, b"")
    assert record(attempt) == {"exit_code": code}


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("name", ["KILL", "SEGV", "TERM"])
def test_death_by_a_signal_is_recorded(attempt: Path, shell: list[str], name: str) -> None:
    """A task that a signal ended has 128 and its number as exit code."""
    run(attempt, "/bin/sh", "-c", f"kill -s {name} $$", shell=shell)
    assert record(attempt) == {"exit_code": 128 + signal.Signals["SIG" + name]}


@pytest.mark.parametrize("shell", SHELLS)
def test_arguments_arrive_byte_for_byte(attempt: Path, shell: list[str]) -> None:
    """No argument is seen by a shell on its way."""
    hostile = [
        "a b",
        "'",
        '"',
        "$HOME",
        "`id`",
        "$(id)",
        "a\nb",
        "",
        "*",
        "\\n",
        "-n",
        "é中",
        "; exit 9",
        "&&",
        "\t",
    ]
    code, output = run(attempt, "/usr/bin/printf", "<%s>", *hostile, shell=shell)
    assert (code, output.decode()) == (0, "".join(f"<{text}>" for text in hostile))


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("name", ["exit", "return", "set", "record", "cd", "trap", "no-such-program"])
def test_name_of_a_program_is_no_command_of_the_shell(attempt: Path, shell: list[str], name: str) -> None:
    """A program's name is looked up on PATH, be it one that the shell knows itself."""
    bare = attempt.parent / "bin"
    bare.mkdir()
    (bare / name).write_text("#!/bin/sh\necho the program\nexit 7\n")
    (bare / name).chmod(0o755)
    path = f"{bare}:/usr/bin:/bin"
    assert run(attempt, name, "a", shell=shell, env={"PATH": path}) == (7, b"the program\n")
    assert record(attempt) == {"exit_code": 7}


@pytest.mark.parametrize("shell", SHELLS)
def test_only_one_of_two_runs_the_attempt(attempt: Path, shell: list[str]) -> None:
    """Of several shims for one attempt exactly one runs it; the others leave without a trace."""
    note = attempt.parent / "ran"
    many = [start(attempt, "/bin/sh", "-c", 'echo ran >>"$0"', str(note), shell=shell) for _ in range(8)]
    assert {process.wait(20) for process in many} == {0}
    for process in many:
        assert process.communicate()[0] == b""
    assert note.read_text() == "ran\n"
    assert (attempt / "claim").read_text().strip() in {str(process.pid) for process in many}


@pytest.mark.parametrize("shell", SHELLS)
def test_files_are_private_whatever_the_umask(attempt: Path, shell: list[str]) -> None:
    """Claim and record are the owner's alone, and the task has the umask it should have."""
    run(attempt, "/bin/sh", "-c", 'umask; : >"$0"', str(attempt / "own"), shell=shell, umask="027")
    modes = {path.name: path.stat().st_mode & 0o777 for path in attempt.iterdir()}
    assert modes == {"claim": 0o600, "exit.json": 0o600, "own": 0o640}


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("name", ["HUP", "INT", "QUIT", "TERM", "USR1", "USR2"])
def test_signals_reach_the_task_and_are_not_ignored(attempt: Path, shell: list[str], name: str) -> None:
    """A signal to the group ends the task as it would without the shim, which lives on to record it."""
    process = start(attempt, "/bin/sh", "-c", "echo ready; exec sleep 60", shell=shell)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    os.killpg(process.pid, signal.Signals["SIG" + name])
    process.communicate(timeout=60)
    assert record(attempt) == {"exit_code": 128 + signal.Signals["SIG" + name]}


@pytest.mark.parametrize("shell", SHELLS)
def test_task_that_takes_its_time_over_a_signal_is_waited_for(attempt: Path, shell: list[str]) -> None:
    """A task may handle a signal and end in its own way; its exit code is the one recorded."""
    script = "trap 'echo saving; exit 42' TERM; echo ready; while :; do :; done"
    process = start(attempt, "/bin/sh", "-c", script, shell=shell)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    os.killpg(process.pid, signal.SIGTERM)
    assert process.communicate(timeout=60)[0] == b"saving\n"
    assert record(attempt) == {"exit_code": 42}


@pytest.mark.parametrize("shell", SHELLS)
def test_workdir_that_cannot_be_entered_is_recorded(attempt: Path, shell: list[str]) -> None:
    """Without its working folder the task does not run, and the record says why."""
    code, _ = run(attempt, "/bin/sh", "-c", "echo ran", shell=shell, workdir="/no/such/folder")
    assert code == 1
    assert record(attempt) == {"exit_code": None, "launch": "workdir"}


@pytest.mark.parametrize("shell", SHELLS)
def test_odd_workdir_is_entered(attempt: Path, shell: list[str]) -> None:
    """A folder may be called as it likes."""
    odd = attempt / "-n $(id) 'x'\n"
    odd.mkdir()
    assert run(attempt, "/bin/pwd", shell=shell, workdir=str(odd)) == (0, f"{odd}\n".encode())


@pytest.mark.parametrize("shell", SHELLS)
def test_timeout_ends_the_task(attempt: Path, shell: list[str]) -> None:
    """A task that is too slow is told the stop signal, and the record says both timeout and exit code."""
    run(attempt, "/bin/sleep", "60", shell=shell, timeout="0.1")
    assert record(attempt) == {"exit_code": 143, "timeout": True}


@pytest.mark.parametrize("shell", SHELLS)
def test_timeout_uses_the_stop_signal(attempt: Path, shell: list[str]) -> None:
    """The signal is the one that the task wants."""
    script = "trap 'exit 5' USR1; while :; do sleep 0.01; done"
    run(attempt, "/bin/sh", "-c", script, shell=shell, timeout="0.2", stop="USR1")
    assert record(attempt) == {"exit_code": 5, "timeout": True}


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("stop", ["TERM", "KILL", "INT"])
def test_deaf_task_is_killed_after_the_grace_period(attempt: Path, shell: list[str], stop: str) -> None:
    """What does not end by the stop signal is killed, and the record was written before."""
    script = "trap '' TERM INT; while :; do sleep 0.05; done"
    with start(
        attempt, "/bin/sh", "-c", script, shell=shell, timeout="0.2", stop=stop, grace="0.2"
    ) as process:
        process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert record(attempt) == {"exit_code": None, "signal": "KILL", "timeout": True}
    eventually(lambda: not group(process.pid))


@pytest.mark.parametrize("shell", SHELLS)
def test_watchdog_leaves_with_its_task(attempt: Path, shell: list[str]) -> None:
    """Nothing of the watchdog is left when the task has ended in time."""
    with start(attempt, "/bin/sh", "-c", "exit 3", shell=shell, timeout="1000") as process:
        process.communicate(timeout=60)
    assert record(attempt) == {"exit_code": 3}
    eventually(lambda: not watchdog(attempt) and not group(process.pid))


@pytest.mark.parametrize("stop", ["TERM", "USR1", "HUP"])
@pytest.mark.parametrize("shell", SHELLS)
def test_watchdog_leaves_where_hangups_are_ignored(attempt: Path, shell: list[str], stop: str) -> None:
    """Under nohup, whose ignored signal no shell can trap, a task that ends in time is recorded at once."""
    line = ("/bin/sh", "-c", "exit 3")
    with start(attempt, *line, shell=["nohup", *shell], timeout="1000", stop=stop) as process:  # noqa: S604 - a list
        process.communicate(timeout=60)
    assert record(attempt) == {"exit_code": 3}
    eventually(lambda: not watchdog(attempt) and not group(process.pid))


@pytest.mark.parametrize("shell", SHELLS)
def test_watchdog_leaves_with_a_task_that_ends_within_the_grace_period(
    attempt: Path, shell: list[str]
) -> None:
    """A task that listened to the timeout leaves no watchdog behind that would write its record anew."""
    with start(attempt, "/bin/sleep", "60", shell=shell, timeout="0.1", grace="1000") as process:
        process.communicate(timeout=60)
    assert record(attempt) == {"exit_code": 143, "timeout": True}
    eventually(lambda: not watchdog(attempt) and not group(process.pid))


# -- a folder that is not what it was -------------------------------------------------------------------


def in_each_shell(
    attempt: Path, *argv: str, **options: Any
) -> dict[str, tuple[Path, subprocess.Popen[bytes]]]:
    """Start the same in each shell, at the same time, each in a folder of its own."""
    started = {}
    for number, shell in enumerate(SHELLS):
        folder = attempt / str(number)
        folder.mkdir(parents=True)
        started[str(shell.id)] = folder, start(folder, *argv, shell=shell.values[0], **options)  # type: ignore[arg-type]
    return started


def test_shim_of_a_removed_folder_ends_with_its_task(attempt: Path) -> None:
    """It gives up its record; its exit code is the task's, or 124 where a timeout ended the task."""
    codes = {"3": "0", "124": "0.5"}
    started = []
    for code, timeout in codes.items():
        script = "exit 3" if timeout == "0" else f"trap 'exit 0' TERM; {until('never')}"
        line = f'until [ ! -d "$0" ]; do sleep 0.05; done; {script}'
        (attempt / code).mkdir()
        for number, shell in enumerate(SHELLS):
            folder = attempt / code / str(number)
            folder.mkdir()
            argv = ("/bin/sh", "-c", line, str(folder))
            started.append((code, folder, start(folder, *argv, shell=shell.values[0], timeout=timeout)))  # type: ignore[arg-type]
    for _, folder, _ in started:
        eventually((folder / "claim").exists)
        shutil.rmtree(folder)
    for code, folder, process in started:
        output = process.communicate(timeout=30)[0]
        assert (process.returncode, folder.exists()) == (int(code), False)
        assert output in ({b""} if code == "3" else {b"", b"Terminated\n"})  # of the task's own shell


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo], ids=["folder", "fifo"])
def test_nothing_in_the_place_of_a_file_makes_the_shim_wait(
    attempt: Path, make: Callable[[Path], None]
) -> None:
    """Neither a folder nor a FIFO where it writes; a timeout is recorded all the same."""
    late = ("/bin/sh", "-c", f"trap 'exit 0' TERM; {until('never')}")
    make(attempt / "timed-out")
    make(attempt / "usage")
    run(attempt, *late, timeout="0.2")
    assert record(attempt) == {"exit_code": 0, "timeout": True}
    (attempt / "exit.json").unlink()
    (attempt / "claim").unlink()
    make(attempt / "exit.json")
    assert run(attempt, "/bin/sh", "-c", "exit 3") == (3, b"")
    (attempt / "claim").unlink()
    assert (
        run(attempt, "/bin/sh", "-c", "trap '' TERM; sleep 60", timeout="0.2", grace="0.1")[0]
        == -signal.SIGKILL
    )
    (attempt / "claim").unlink()
    make(attempt / "claim")
    assert run(attempt, "/bin/echo", "ran")[1] == b""


def test_no_link_of_a_task_is_followed(attempt: Path, tmp_path: Path) -> None:
    """What a task in a container puts in the place of a file changes no file outside of its attempt."""
    precious, missing = tmp_path / "precious", tmp_path / "missing"
    precious.write_text("mine")
    plant = 'cd "$0"; for name in exit.json usage; do ln -s "$1" "$name"; done; exit 3'
    late = 'cd "$0"; ln -s "$1" timed-out; ln -s "$1" exit.json; trap "" TERM; sleep 60'
    started = []
    for number, (script, target, timeout) in enumerate(
        [(plant, precious, "0"), (plant, missing, "0"), (late, precious, "0.2"), (late, missing, "0.2")]
    ):
        env = {**os.environ, "SLURM_JOB_ID": "1"}
        for shell in SHELLS:
            folder = attempt / f"{number}-{shell.id}"
            folder.mkdir(parents=True)
            argv = ("/bin/sh", "-c", script, str(folder), str(target))
            how: Any = {"shell": shell.values[0], "timeout": timeout, "grace": "0.1", "env": env}
            started.append((start(folder, *argv, **how), 3 if timeout == "0" else -signal.SIGKILL))
    for process, code in started:
        process.communicate(timeout=60)
        assert process.returncode == code
    assert (precious.read_text(), missing.exists()) == ("mine", False)


def test_an_earlier_record_is_replaced(attempt: Path) -> None:
    """A record that a task wrote itself does not count, in no shell, and without `rm` either."""
    forge = 'echo "{}" >"$0/exit.json"; exit 3'
    for path in (os.environ["PATH"], str(attempt)):  # in the second there is no program
        for number, shell in enumerate(SHELLS):
            folder = attempt / f"{len(path)}-{number}"
            folder.mkdir()
            program = [str(shutil.which(shell.values[0][0])), *shell.values[0][1:]]  # type: ignore[index]
            run(folder, "/bin/sh", "-c", forge, str(folder), shell=program, env={"PATH": path})
            assert record(folder) == {"exit_code": 3}


def children(shim: int) -> tuple[list[psutil.Process], list[psutil.Process]]:
    """The watchdog of a shim, and its task, once both run."""
    found = psutil.Process(shim).children()
    watchdogs = [one for one in found if "--watchdog" in one.cmdline()]
    return (
        (watchdogs, [one for one in found if one not in watchdogs])
        if len(found) > len(watchdogs) > 0
        else ([], [])
    )


def test_watchdog_of_a_killed_shim_leaves_with_the_task(attempt: Path) -> None:
    """It leaves no trace if the task was killed too; a task that lives has its timeout all the same."""
    started = in_each_shell(attempt, "/bin/sleep", "60", timeout="1", grace="0.1")
    alone = in_each_shell(attempt.with_name("alone"), "/bin/sleep", "60", timeout="1", grace="0.1")
    for _, process in [*started.values(), *alone.values()]:
        eventually(lambda: children(process.pid)[1])  # noqa: B023 - called at once
    for _, process in started.values():
        for one in [psutil.Process(process.pid), *children(process.pid)[1]]:
            one.kill()
    for _, process in alone.values():
        process.kill()
    for folder, process in [*started.values(), *alone.values()]:
        process.communicate()
        eventually(lambda: not group(process.pid))  # noqa: B023 - called at once
        wanted = {"claim"} if (folder, process) in started.values() else {"claim", "timed-out"}
        assert {path.name for path in folder.iterdir()} == wanted


def test_watchdog_is_no_part_of_the_task(attempt: Path) -> None:
    """It carries nothing of the task's environment, so that nobody takes it for alive by it."""
    env = {"PATH": os.environ["PATH"], "EXP_ID": "x_1", "EXP_TASK": "a", "EXP_ATTEMPT": "1"}
    process = start(attempt, "/bin/sleep", "60", timeout="1000", env=env)
    (found,) = eventually(lambda: [one for one in watchdog(attempt) if one.name() == "sh"])
    assert not {name for name in found.environ() if name.startswith("EXP_")} - {WATCHDOG_VARIABLE}
    eventually(lambda: "sleep" in {one.name() for one in psutil.Process(process.pid).children()})
    os.killpg(process.pid, signal.SIGTERM)
    process.communicate(timeout=60)


def test_lock_is_held_as_long_as_the_task(attempt: Path) -> None:
    """Descriptor 9 goes to the task and to nobody else."""
    reader, writer = os.pipe()
    process = start(
        attempt, "/bin/sh", "-c", "echo ready; exec sleep 60", timeout="1000",
        pass_fds=[writer], preexec_fn=lambda: os.dup2(writer, 9),
    )  # fmt: skip
    os.close(writer)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    shim = psutil.Process(process.pid)
    (child,) = eventually(lambda: [one for one in shim.children() if one.name() == "sleep"])
    child.kill()
    process.communicate(timeout=60)
    assert os.read(reader, 1) == b"", "whoever else held it would keep the pipe open"
    os.close(reader)


def test_shellcheck_has_nothing_to_say() -> None:
    """The shim is POSIX sh."""
    program = Path(sys.executable).with_name("shellcheck")
    done = subprocess.run(
        [str(program), "--shell=sh", str(SHIM)], capture_output=True, text=True, check=False
    )
    assert done.stdout == ""
