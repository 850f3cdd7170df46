from __future__ import annotations

import ast
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nemorun_cli.executors import run_partial
from nemorun_cli.storage import outputs

MODULE = """
import os
class Net:
    def __init__(self, hidden, inner=None, layers=()):
        self.hidden, self.inner, self.layers = hidden, inner, layers
    @staticmethod
    def make(x):
        return {"made": x}
class Scalar:
    def item(self):
        return 0.5
class Array:
    def item(self):
        raise ValueError("more than one")
def train(**kwargs):
    return {name: repr(type(value).__name__) for name, value in kwargs.items()}
def nested(model):
    return {"sum": model.hidden + model.inner.hidden + sum(layer.hidden for layer in model.layers)}
def values(**kwargs):
    return {"nan": float("nan"), "inf": float("-inf"), "text": "a\\nb=1", "none": None, "flag": True,
            "scalar": Scalar(), "many": [1, {"a": (2, 3)}], "ä": 1} if kwargs else {
            "nan": float("nan"), "inf": float("-inf"), "text": "a\\nb=1", "none": None, "flag": True,
            "scalar": Scalar(), "many": [1, {"a": (2, 3)}]}
def array():
    return {"array": Array()}
def number():
    return 3
async def later(x):
    return {"x": x}
def fails():
    inner()
def inner():
    raise RuntimeError("from the inside")
def leaves(code):
    raise SystemExit(code)
def where():
    return {"cwd": os.getcwd()}
not_callable = 3
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "user_mod.py").write_text(MODULE)
    (tmp_path / "broken.py").write_text("import not_there_at_all\n")
    return tmp_path


def run(folder: Path, target: str, args: dict[str, Any] | None = None) -> subprocess.CompletedProcess[str]:
    """Runs a copy of the program elsewhere, as an experiment does."""
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir(exist_ok=True)
    program = elsewhere / "partial.py"
    program.write_bytes(Path(run_partial.__file__).read_bytes())
    (elsewhere / "call.json").write_text(json.dumps({"target": target, "args": args or {}}))
    return subprocess.run(
        [sys.executable, str(program), str(elsewhere / "call.json")],
        cwd=folder,
        env={"EXP_OUTPUT": str(folder / "outputs"), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_function_is_called_with_its_arguments(folder: Path) -> None:
    """The callable gets its keyword arguments, with the workdir first on the module path."""
    done = run(folder, "user_mod:train", {"lr": 0.1, "name": "x", "many": [1]})

    assert (done.returncode, done.stderr) == (0, "")
    assert outputs.read(folder / "outputs") == {"lr": "'float'", "name": "'str'", "many": "'list'"}


def test_targets_are_built_from_the_inside_out(folder: Path) -> None:
    """Mappings with `_target_` become objects, in lists and mappings too, the innermost first."""
    model = {
        "_target_": "user_mod:Net",
        "hidden": 1,
        "inner": {"_target_": "user_mod:Net", "hidden": 10},
        "layers": [{"_target_": "user_mod:Net", "hidden": 100}, {"_target_": "user_mod:Net", "hidden": 1000}],
    }

    run(folder, "user_mod:nested", {"model": model})

    assert outputs.read(folder / "outputs") == {"sum": 1111}


def test_attributes_of_a_module_can_be_called(folder: Path) -> None:
    """A target may lead through a class."""
    run(folder, "user_mod:Net.make", {"x": 3})

    assert outputs.read(folder / "outputs") == {"made": 3}


def test_returned_mapping_becomes_outputs(folder: Path) -> None:
    """Plain values, numbers without end and scalars of array libraries are kept as outputs."""
    run(folder, "user_mod:values")

    found = outputs.read(folder / "outputs")
    assert math.isnan(found.pop("nan"))
    assert found == {
        "inf": -math.inf,
        "text": "a\nb=1",
        "none": None,
        "flag": True,
        "scalar": 0.5,
        "many": [1, {"a": [2, 3]}],
    }


@pytest.mark.parametrize(("target", "args"), [("user_mod:array", {}), ("user_mod:values", {"x": 1})])
def test_mapping_of_other_values_is_no_output_and_no_failure(
    folder: Path, target: str, args: dict[str, Any]
) -> None:
    """A mapping that holds more than plain values is not kept; the task succeeds, and says so."""
    done = run(folder, target, args)

    assert done.returncode == 0
    assert "not saved as outputs" in done.stderr
    assert not (folder / "outputs").exists()


def test_other_results_are_passed_over(folder: Path) -> None:
    """What is no mapping is not kept."""
    done = run(folder, "user_mod:number")

    assert (done.returncode, done.stderr) == (0, "")


def test_asynchronous_function_is_run(folder: Path) -> None:
    """A coroutine is run to its end."""
    run(folder, "user_mod:later", {"x": 1})

    assert outputs.read(folder / "outputs") == {"x": 1}


def test_exception_fails_with_a_traceback_of_the_users_code(folder: Path) -> None:
    """An exception ends with exit code 1 and a traceback that begins in the user's own file."""
    done = run(folder, "user_mod:fails")

    assert done.returncode == 1
    assert "RuntimeError: from the inside" in done.stderr
    assert "partial.py" not in done.stderr


@pytest.mark.parametrize("code", [0, 3])
def test_exit_is_honoured(folder: Path, code: int) -> None:
    """A callable that exits has its own exit code."""
    assert run(folder, "user_mod:leaves", {"code": code}).returncode == code


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("user_mod:nope", "there is no 'nope' in"),
        ("nowhere:f", "no module is called 'nowhere'"),
        ("user_mod:not_callable", "is not callable"),
        ("user_mod", "is not module:function"),
    ],
)
def test_target_that_is_not_there_is_told_without_a_traceback(
    folder: Path, target: str, message: str
) -> None:
    """A callable that cannot be found is one line that says what is missing."""
    done = run(folder, target)

    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_missing_module_inside_the_users_code_keeps_its_traceback(folder: Path) -> None:
    """An import that fails within the user's module is the user's to see."""
    done = run(folder, "broken:f")

    assert "broken.py" in done.stderr
    assert "not_there_at_all" in done.stderr


def test_folder_of_the_program_is_not_searched(folder: Path) -> None:
    """A file that happens to lie beside the copied program is not found by the user's imports."""
    run(folder, "user_mod:number")
    (folder / "elsewhere" / "hidden.py").write_text("def f(): ...\n")

    assert run(folder, "hidden:f").returncode == 1


def test_call_works_in_this_process() -> None:
    """The same call can be made in process, for a debugger."""
    assert run_partial.call("json:dumps", {"obj": {"_target_": "builtins:dict", "a": 1}}) == '{"a": 1}'


def test_program_is_written_for_python_3_8() -> None:
    """The file parses by Python 3.8's grammar and imports the standard library alone."""
    tree = ast.parse(Path(run_partial.__file__).read_text(), feature_version=(3, 8))

    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert imported <= sys.stdlib_module_names
