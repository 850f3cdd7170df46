"""What cannot be read spoils only itself: commands continue, and their exit code is a documented one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from support.workspace import Exp

SPEC = "name: {name}\ntasks: {{a: {{inline: 'echo hello; echo x=1 >> $EXP_OUTPUT'}}}}\n"
# Runs several commands in one process, which may not read what its permissions forbid, even as root.
SEVERAL = """
import contextlib, io, json, sys
from nemorun_cli.cli import app
for argv in json.load(sys.stdin):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = app.run(argv)
    print(json.dumps([code, out.getvalue(), err.getvalue()]))
"""

OF_ONE = ("status", "wait", "logs", "why", "show", "graph", "events", "fsck", "metrics", "params", "files")


def ordinary(exp: Exp, *commands: Sequence[str]) -> Iterator[tuple[int, str, str]]:
    """Run commands as a user for whom permissions count: exit code, standard output, standard error."""
    if os.geteuid() != 0:
        lead = []
    elif setpriv := shutil.which("setpriv"):
        lead = [setpriv, "--bounding-set", "-dac_override,-dac_read_search"]
    else:
        pytest.skip("PERMISSIONS ARE NOT TESTED: there is no setpriv, and root may read everything")
    done = subprocess.run(
        [*lead, sys.executable, "-c", SEVERAL],
        input=json.dumps(commands),
        env=exp.env,
        cwd=exp.folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    for line in done.stdout.splitlines():
        code, out, err = json.loads(line)
        yield code, out, err


@pytest.fixture
def forbid() -> Iterator[Callable[[Path], None]]:
    """Takes all permissions of a folder away; they are restored at the end."""
    forbidden: list[Path] = []

    def take(folder: Path) -> None:
        folder.chmod(0)
        forbidden.append(folder)

    yield take
    for folder in forbidden:
        folder.chmod(0o700)


def test_folder_of_another_user_is_named_and_skipped(exp: Exp, forbid: Callable[[Path], None]) -> None:
    """Commands over many experiments continue with the others; one about it alone reports why it cannot."""
    mine = exp("run", exp.spec(SPEC.format(name="mine")), "-q").stdout.strip()
    exp("run", exp.spec(SPEC.format(name="theirs")), "-q")
    alone = exp("run", exp.spec(SPEC.format(name="alone")), "-q").stdout.strip()
    forbid(exp.home / "experiments" / "theirs")
    forbid(exp.home / "experiments" / "alone" / alone)
    over_many = [["list", "-q"], *([command, "latest"] for command in OF_ONE), ["gc"], ["list", "--json"]]
    of_one = [[command, which] for command in (*OF_ONE, "resume", "cancel") for which in ("theirs", alone)]
    results = iter([*ordinary(exp, *over_many, *of_one, ["doctor"], ["status", "nobody"])])
    for argv in over_many:
        code, out, err = next(results)
        assert code == 0, (argv, out, err)
        assert "theirs: Permission denied" in err, argv
        assert alone in err, argv
        assert "internal error" not in err, argv
        assert mine in out or argv[0] not in {"list", "status", "show"}, argv
    for argv in of_one:
        code, _, err = next(results)
        assert code == 7, (argv, err)
        assert "Permission denied" in err, argv
    (code, out, _), (missing, _, _) = results
    assert (code in {0, 6}, missing) == (True, 3)
    assert "theirs: Permission denied" in out


def test_home_that_cannot_be_read_is_a_usage_error(exp: Exp, forbid: Callable[[Path], None]) -> None:
    """Every command names the folder and a remedy, and ends with 2; `doctor` lists it among its checks."""
    spec = exp.spec(SPEC.format(name="mine"))
    exp("run", spec, "-q")
    commands = [["list"], *([command, "latest"] for command in OF_ONE)]
    commands += [["gc"], ["records"], ["run", str(spec)], ["doctor"]]
    for folder in ("experiments", "."):
        forbid(exp.home / folder)
        if folder == "experiments":
            forbid(exp.home / "dash")
        for argv, (code, _, err) in zip(commands, ordinary(exp, *commands), strict=True):
            if argv != ["doctor"]:
                assert (code, "hint: " in err) == (2, True), (argv, err)
                assert str(exp.home) in err, argv
            else:
                assert code == 7


TRACKED = """
name: tracked
tasks:
  a:
    inline: |
      echo loss=1
      echo x=1 >> $EXP_OUTPUT
    metrics: {log: 'loss=(?P<loss>[0-9]+)'}
"""


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _folder(path: Path) -> None:
    (path / "inner").mkdir(parents=True)


def _noise(path: Path) -> None:
    path.write_bytes(b"9" * 5000 + b'\n{"exit_code": 1e999, "x": "\\ud800"}\n' + b"[" * 100_000 + b"\xff\n")


KINDS = (_fifo, _folder, _noise)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_what_is_in_the_place_of_a_file_hangs_no_command(exp: Exp, kind: Callable[[Path], None]) -> None:
    """A FIFO, a folder or noise instead of any file of a home: every command ends, and none with 70."""
    exp("run", exp.spec(SPEC.format(name="other")), "-q")
    which = exp("run", exp.spec(TRACKED), "-q").stdout.strip()
    experiment = exp.home / "experiments" / "tracked" / which
    attempt = sorted(path for path in (experiment / "tasks/a/attempt-1").iterdir())
    record = sorted(path for path in (exp.home / "dash").rglob("*") if path.is_file() and which in str(path))
    assert attempt
    assert record
    replaced = [attempt, record, *([experiment / name] for name in _own(experiment))]
    for paths in replaced:
        kept = [(path, path.rename(path.with_name(f"{path.name}.kept"))) for path in paths]
        for path, _ in kept:
            kind(path)
        commands: list[tuple[str, ...]] = [("list",), ("status", "other")]
        if len(paths) > 1:  # what tasks leave; the others are files of `exp` itself
            commands += [("gc",), ("records",), ("compare", which, "other")]
            commands += [(command, which) for command in (*OF_ONE, "doctor")]
        else:
            commands += [("status", which), ("why", which)]
        for argv in commands:
            done = exp(*argv, code=None)
            assert done.code in {0, 2, 3, 6, 7}, (argv, paths, done)
            assert "internal error" not in done.stderr, (argv, paths, done)
        for path, aside in kept:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
            aside.rename(path)
    assert exp("status", which).stdout


def _own(experiment: Path) -> list[str]:
    return sorted(path.name for path in experiment.iterdir() if path.is_file())
