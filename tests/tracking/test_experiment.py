from __future__ import annotations

import re
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from support.extent import amount
from support.light_imports import HEAVY

from nemorun_cli import tracking
from nemorun_cli.errors import UsageError
from nemorun_cli.tracking import Experiment, record

if TYPE_CHECKING:
    from pathlib import Path

    from support.programs import Program


@pytest.mark.parametrize(
    ("given", "nearest"),
    [
        ("descripton", "description"),
        ("dashroot", "dash_root"),
        ("tag", "tags"),
        ("local_path", "dash_root"),
        ("remote", "dash_url"),
        ("name", "prefix"),
        ("zzz", "there are: prefix"),
    ],
)
def test_unknown_argument_names_the_nearest(given: str, nearest: str) -> None:
    """Nothing is swallowed: an argument that is not known is a TypeError that says what was meant."""
    with pytest.raises(TypeError, match=nearest):
        Experiment("a/b", **{given: "x"})


def test_what_the_experiment_is_said_to_be_is_kept(root: Path) -> None:
    """Description, tags, bindrs and metadata are on disk; those of the next opening replace them if given."""
    with Experiment(
        "o/p/n", dash_root=root, description="d", tags=["x"], bindrs=["gpu"], metadata={"a": 1}
    ).run:
        pass
    with Experiment("o/p/n", dash_root=root, readme="new").run as experiment:
        pass
    told = record(root, "o/p/n")
    assert told is not None
    assert (told.description, told.tags, told.bindrs, told.metadata) == ("new", ["x"], ["gpu"], {"a": 1})
    assert (experiment.owner, experiment.project, experiment.name) == ("o", "p", "n")
    assert (experiment.readme, experiment.dash_root, experiment.id) == ("new", str(root), None)
    assert repr(experiment) == f"<Experiment 'o/p/n' in {str(root)!r}>"


BAD: list[dict[str, Any]] = [
    {"tags": "x"},
    {"bindrs": [1]},
    {"metadata": {"a": object()}},
    {"description": "a", "readme": "b"},
]


@pytest.mark.parametrize("bad", BAD, ids=" ".join)
def test_argument_of_the_wrong_kind_is_refused(bad: dict[str, Any]) -> None:
    """A text where a list belongs, or what cannot be recorded, is a TypeError before anything is made."""
    with pytest.raises(TypeError):
        Experiment("a", **bad)


def test_everything_has_a_default_inside_a_task(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a task of `exp run`, `Experiment()` is the task's own record and knows experiment and attempt."""
    monkeypatch.setenv("EXP_ID", "sweep_1")
    monkeypatch.setenv("EXP_TASK", "train/lr=0.1,seed=1")
    monkeypatch.setenv("EXP_ATTEMPT", "2")
    monkeypatch.setenv("EXP_PREFIX", "alice/sweep")
    monkeypatch.setenv("EXP_DASH_ROOT", str(root))
    monkeypatch.setenv("SLURM_PROCID", "3")
    with Experiment().run as experiment:
        assert experiment.id is not None
    assert experiment.prefix == "alice/sweep/train/lr=0.1,seed=1"
    told = record(root, experiment.prefix)
    assert told is not None
    facts = told.openings[0].facts
    own = [facts[name] for name in ("exp_id", "task", "attempt", "rank")]
    assert own == ["sweep_1", "train/lr=0.1,seed=1", 2, 3]


DEFAULT = r"(\w+)/(\w+)/\d{4}-\d\d-\d\d-\d\d\.\d\d\.\d\d-[0-9a-f]{4}"


def test_a_program_needs_no_prefix(program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each `Experiment()` outside of a task takes a new prefix, and prints once how any folder shows it."""
    monkeypatch.setenv("USER", "alice")
    process = program.start("""
    first, second = Experiment(print_logs=False), Experiment()
    for experiment in (first, second, first):
        with experiment.run:
            experiment.metrics("m").log(x=1)
    """)
    out, err = process.communicate()
    lines = err.splitlines()
    root = re.escape(shlex.quote(f"{tmp_path}/.dash"))
    shown = [re.fullmatch(rf"tracking: exp metrics ({DEFAULT}) --dash-root {root}", line) for line in lines]
    assert (out, len(shown)) == ("", 2), err
    prefixes = [match[1] for match in shown if match]
    assert [match.group(2, 3) for match in shown if match] == [("alice", "command")] * 2
    assert sorted(prefixes) == sorted(tracking.prefixes(tmp_path / ".dash"))
    assert len(set(prefixes)) == 2
    result = subprocess.run(
        ["exp", *shlex.split(lines[0])[2:]], cwd="/", capture_output=True, text=True, check=True
    )
    assert "m/x" in result.stdout


PROGRAMS = {
    "odd characters": ("my run~1.v2.py", ["my run~1.v2.py"], "my_run_1.v2"),
    "a package": ("pkg/__main__.py", ["-m", "pkg"], "pkg"),
    "a command": ("", ["-c", "from nemorun_cli import Experiment; print(Experiment().prefix)"], "command"),
    "a file": ("train.py", ["train.py"], "train"),
    "letters": ("größe.py", ["größe.py"], "größe"),
    "a module": ("pkg/work.py", ["-m", "pkg.work"], "work"),
    "a folder": ("app/__main__.py", ["app"], "app"),
    "stdin": ("", ["-"], "stdin"),
    "at a prompt": ("", ["-i"], "interactive"),
}


@pytest.mark.parametrize("name", [*PROGRAMS][: amount(3, long=len(PROGRAMS))])
def test_the_prefix_names_the_program(name: str, tmp_path: Path) -> None:
    """`{script}` is the stem of the program's file, in safe characters, or how it was started without one."""
    path, arguments, script = PROGRAMS[name]
    calls = ("Experiment()", "Experiment('{script}')")
    text = "\n".join(["from nemorun_cli import Experiment", *(f"print({call}.prefix)" for call in calls), ""])
    if path:
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    out = subprocess.run(
        [sys.executable, *arguments], input="" if path else text, capture_output=True, text=True, check=True
    ).stdout
    assert out.split("/")[1] == script
    assert name == "a command" or out.splitlines()[1] == script


def test_an_empty_prefix_is_none() -> None:
    """An empty text, as from a variable that is not set, is refused and not replaced by a default."""
    with pytest.raises(UsageError, match="prefix is empty"):
        Experiment(prefix="")


@pytest.mark.parametrize(
    "bad",
    [
        *(
            {"description": 3},
            {"readme": b"x"},
            {"tags": "word"},
            {"tags": 3},
            {"tags": [1]},
            {"bindrs": {"a": 1, 2: 3}},
        ),
        *(
            {"metadata": {"x": object()}},
            {"print_logs": "no"},
            {"prefix": 3},
            {"prefix": b"a"},
            {"dash_root": 0},
        ),
    ],
    ids=lambda bad: next(iter(bad)),
)
def test_an_argument_of_another_type_is_refused(bad: dict[str, Any]) -> None:
    """It is a TypeError that names the argument, and no record is made that nobody can read."""
    with pytest.raises(TypeError, match=next(iter(bad)).replace("readme", "description")):
        Experiment(**{"prefix": "a", **bad})


def test_texts_may_come_from_any_iterable(root: Path) -> None:
    """Tags from a generator are all kept."""
    assert Experiment("a", dash_root=root, tags=(tag for tag in "xy")).tags == ["x", "y"]  # type: ignore[arg-type] # what is tested


def test_import_is_light() -> None:
    """Importing the SDK loads nothing slow, nothing of the network, and starts no thread."""
    text = """
import sys, threading
from nemorun_cli import Experiment
print(threading.active_count(), *sys.modules)
"""
    out = subprocess.run(
        [sys.executable, "-c", text], capture_output=True, text=True, check=True
    ).stdout.split()
    bare = subprocess.run(
        [sys.executable, "-c", "import sys; print(*sys.modules)"], capture_output=True, text=True, check=True
    ).stdout.split()
    assert out[0] == "1"
    assert (set(out) - set(bare)) & HEAVY == set()


def test_tracking_needs_neither_network_nor_thread(program: Program) -> None:
    """A whole run opens no socket and starts no thread."""
    text = """
    import threading
    sys.addaudithook(lambda event, _: event.startswith('socket.') and sys.exit('a socket was opened'))
    with Experiment('a', dash_root=root).run as e:
        e.params.set(x=1)
        e.metrics('m').log(x=1)
        e.files.save_text('x', to='x')
        e.log('x')
        assert threading.active_count() == 1
    """
    program.run(text)


def test_public_names_are_the_exported_ones() -> None:
    """What the package lists is there, and no other name is answered to."""
    assert all(getattr(tracking, name) is not None for name in tracking.__all__)
    with pytest.raises(AttributeError, match="nothing"):
        tracking.nothing  # noqa: B018 - it raises
