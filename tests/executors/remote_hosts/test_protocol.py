"""What goes to the far side of a tunnel and what comes back, tried with the shell of this machine."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from nemorun_cli.executors.remote_hosts import attempt_sync, protocol, ssh_client
from nemorun_cli.executors.remote_hosts.protocol import EVIDENCE, RoundTripReport, WatchedFiles
from nemorun_cli.executors.slurm.remote.cluster import JOB_FILES
from nemorun_cli.executors.slurm.remote.slurm_connection import PRELUDE, command_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

MARK = "exp-0123"
NASTY = [
    "two words",
    "",
    "'single' \"double\"",
    "$HOME $(id) `id`",
    "two\nlines\n",
    "back\\slash",
    "*",
    "ünï 日本",
]


def travel(
    commands: Sequence[str], watched: WatchedFiles | None = None, *, noise: str = "", cut: int | None = None
) -> RoundTripReport:
    """What a trip brings back that any POSIX shell makes."""
    text = noise + protocol.script(commands, watched, marker=MARK, prelude=PRELUDE)
    done = subprocess.run(["sh"], input=text.encode()[:cut], capture_output=True, timeout=30, check=False)
    return protocol.parse(done.stdout, done.stderr, marker=MARK)


def ask(*argv: str, settings: Sequence[str] = (), **fixed: str) -> str:
    """The text that asks a command."""
    return command_text(argv, settings=settings, fixed=fixed)


def test_arguments_arrive_as_they_are() -> None:
    """Nothing in an argument is anything to the shell there."""
    (said,) = travel([ask("printf", "%s\\0", *NASTY)]).outputs
    assert said.output.split(b"\0")[:-1] == [text.encode() for text in NASTY]


def test_each_command_has_its_own_answer() -> None:
    """Output, complaint and exit code of each command are told apart, whatever login files print."""
    report = travel(["echo one; echo no >&2; (exit 3)", "printf 'no end'", "cat"], noise="echo Welcome; ")
    assert [(said.code, said.output, said.complaint.strip()) for said in report.outputs] == [
        (3, b"one\n", b"no"),
        (0, b"no end", b""),
        (0, b"", b""),
    ]
    assert report.is_whole


def test_a_command_gets_no_other_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command gets the variables that it is to get, as they are there, and those that are given."""
    monkeypatch.setenv("KEPT", 'it\'s $HOME\nand "more"')
    monkeypatch.setenv("OTHER", "x")
    (said,) = travel([ask("env", "-0", settings=["KEPT", "MISSING"], GIVEN="%s")]).outputs
    found = dict(part.split(b"=", 1) for part in said.output.split(b"\0")[:-1])
    path = os.environ["PATH"].encode()  # of the session: a site's command may need it to find others
    assert found == {b"KEPT": b'it\'s $HOME\nand "more"', b"GIVEN": b"%s", b"PATH": path}


def test_a_missing_command_is_named() -> None:
    """What is not on PATH there is told as that."""
    (said,) = travel([ask("no-such-command")]).outputs
    assert (said.code, said.complaint.strip()) == (127, b"there is no no-such-command on PATH")


def test_a_command_may_come_first() -> None:
    """What it sets up is there for the commands, and what it prints is in no answer."""
    first = "PATH=/nowhere:$PATH; echo loaded; echo 'it'\\''s done' >&2; cat"
    text = protocol.script([ask("env"), "echo two"], None, marker=MARK, pre_command=first, prelude=PRELUDE)
    done = subprocess.run(["sh"], input=text.encode(), capture_output=True, timeout=30, check=False)
    report = protocol.parse(done.stdout, done.stderr, marker=MARK)
    assert report.is_whole
    assert [said.complaint.strip() for said in report.outputs] == [b"", b""]
    assert report.outputs[0].output.startswith(b"PATH=/nowhere:")
    assert report.outputs[1].output == b"two\n"


@pytest.mark.parametrize("first", ["module load nowhere", "if", "exit 3", "false"])
def test_nothing_runs_after_a_first_command_that_fails(first: str) -> None:
    """The answer is none, with what the command printed, and the reason."""
    text = protocol.script(["echo ran"], None, marker=MARK, pre_command=first, prelude=PRELUDE)
    done = subprocess.run(["sh"], input=text.encode(), capture_output=True, timeout=30, check=False)
    report = protocol.parse(done.stdout, done.stderr, marker=MARK)
    assert (report.is_whole, report.outputs, b"ran" in done.stdout) == (False, [], False)
    assert protocol.REFUSED in report.rest


@pytest.mark.parametrize("part", [0.3, 0.9, 0.99])
def test_a_text_that_was_cut_short_runs_nothing(tmp_path: Path, part: float) -> None:
    """If the connection breaks while a trip is sent, none of its commands is run."""
    text = protocol.script([f"touch {tmp_path}/ran"], None, marker=MARK)
    report = travel([f"touch {tmp_path}/ran"], cut=int(len(text) * part))
    assert not report.is_whole
    assert list(tmp_path.iterdir()) == []


def test_an_answer_that_was_cut_short_is_not_whole() -> None:
    """What a broken connection leaves of an answer counts as far as it is complete."""
    done = subprocess.run(
        ["sh"],
        input=protocol.script(["echo one", "echo two"], None, marker=MARK).encode(),
        capture_output=True,
        check=True,
    )
    for end in range(len(done.stdout)):
        report = protocol.parse(done.stdout[:end], b"", marker=MARK)
        assert not report.is_whole
        assert [said.output for said in report.outputs] == [b"one\n", b"two\n"][: len(report.outputs)]


def test_secrets_are_written_privately(tmp_path: Path) -> None:
    """What is put there is byte for byte what was sent, in a file for its owner alone."""
    text = protocol.put(str(tmp_path / "secrets"), "\n".join(NASTY[1:]))
    (said,) = travel([text]).outputs
    assert said.code == 0
    assert (tmp_path / "secrets").read_text() == "\n".join(NASTY[1:])
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o600


# -- what is brought --------------------------------------------------------------------------------------


class Sides:
    """The folder of one attempt there and here."""

    def __init__(self, root: Path) -> None:
        self.root = root / "there"
        self.there, self.here = self.root / "tasks" / "a=1,b" / "attempt-1", root / "here"
        self.there.mkdir(parents=True)
        self.here.mkdir()
        self.folders = {str(self.there.relative_to(self.root)): self.here}

    def bring(self, *, is_complete: bool = True, **changes: Any) -> tuple[bool, bool]:
        """Look once; gives whether something changed, and whether there is more to bring."""
        watched = WatchedFiles(
            root=str(self.root),
            folders=list(self.folders),
            known=list(attempt_sync.known_files(self.folders, JOB_FILES)),
            names=JOB_FILES,
            **changes,
        )
        pieces = travel([], watched).pieces
        changed, behind = attempt_sync.write_pieces(
            pieces, self.folders, is_complete=lambda _: is_complete, names=JOB_FILES
        )
        return bool(changed), bool(behind)

    def same(self) -> bool:
        """Whether this side has what the far one has, with its times."""
        return {
            path.name: (path.read_bytes(), path.stat().st_mtime_ns // 1_000_000)
            for path in self.there.iterdir()
        } == {
            path.name: (path.read_bytes(), path.stat().st_mtime_ns // 1_000_000)
            for path in self.here.iterdir()
        }


@pytest.fixture
def sides(tmp_path: Path) -> Sides:
    """Two sides without anything in them."""
    return Sides(tmp_path)


def test_evidence_is_brought_as_it_is(sides: Sides) -> None:
    """Every file that tells of an attempt is here as it is there, also when it grows, changes or goes."""
    assert sides.bring() == (False, False)
    (sides.there / "claim").write_text("17\n")
    (sides.there / "running").touch()
    (sides.there / "log").write_bytes(bytes(range(256)) * 10)
    assert sides.bring() == (True, False)
    assert sides.same()
    assert sides.bring() == (False, False)
    with (sides.there / "log").open("ab") as log:
        log.write(f"\n{MARK}x end\nno end".encode())
    (sides.there / "outputs").write_text("x=1\n")
    (sides.there / "exit.json").write_text('{"exit_code":0}\n')
    (sides.there / "running").unlink()
    assert sides.bring() == (True, False)
    assert sides.same()


def test_an_end_comes_last(sides: Sides) -> None:
    """As long as something that an attempt wrote is not here, its end is not either."""
    (sides.there / "exit.json").write_text('{"exit_code":0}\n')
    (sides.there / "log").write_bytes(b"x" * (protocol.MOST + 5))
    assert sides.bring() == (True, True)
    assert not (sides.here / "exit.json").exists()
    assert sides.bring(is_complete=False) == (True, True)
    assert not (sides.here / "exit.json").exists()
    assert sides.bring() == (True, False)
    assert sides.same()


def test_nothing_is_written_elsewhere(sides: Sides) -> None:
    """Whatever the far side answers, only the evidence of what is looked after is written."""
    head = f"\n{MARK} 1.000 4 0 "
    names = ["../../escaped", "tasks/a=1,b/attempt-1/plan.json", "tasks/a=1,b/attempt-1/../x", "/tmp/escaped"]  # noqa: S108
    text = "".join(f"{head}{name}\nevil" for name in names)
    report = protocol.parse(f"\n{MARK} 0\n{text}\n{MARK} end\n".encode(), b"", marker=MARK)
    assert len(report.pieces) == len(names)
    written = attempt_sync.write_pieces(report.pieces, sides.folders, is_complete=lambda _: True)
    assert written == (set(), set())
    assert list(sides.here.iterdir()) == []


def test_what_is_looked_at_is_all_that_tells_how_an_attempt_stands() -> None:
    """The end of an attempt is the last of its files, so that nothing it wrote is missed."""
    assert (EVIDENCE[-1], JOB_FILES[-1]) == ("exit.json", "exit.json")


# -- what ssh says ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("complaint", "needs"),
    [
        ("alice@login: Permission denied (publickey,keyboard-interactive).", True),
        ("Host key verification failed.", True),
        ("Received disconnect from 10.0.0.1 port 22:2: Too many authentication failures", True),
        ("ssh: connect to host login port 22: Connection refused", False),
        ("ssh: Could not resolve hostname login: Name or service not known", False),
        ("Connection to login closed by remote host.", False),
        ("client_loop: send disconnect: Broken pipe", False),
    ],
)
def test_what_a_person_has_to_mend_is_known(complaint: str, needs: bool) -> None:  # noqa: FBT001 - a parameter of a test
    """Refused logins and host keys are for a person; all else is for time."""
    assert ssh_client.needs_person(complaint) is needs
