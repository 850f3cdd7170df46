"""NeMo-Run's first notebooks in a real Jupyter kernel, unchanged but for the import."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed: pip install nbclient ipykernel")
nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed: pip install nbclient ipykernel")
pytest.importorskip("ipykernel", reason="ipykernel is not installed: pip install ipykernel")

PROGRAMS = Path(__file__).parent / "programs"
CELLS = {
    "imports": """
import logging
import nemorun_cli.nemo as run
from nemorun_cli.nemo import LocalExecutor
from simple.objects import Sizes, add, add_sizes, usual_sizes
logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
""",
    "partial": """
fn = run.Partial(add, a=5, b=10)
fn
""",
    "direct": "run.run(fn, direct=True)",
    "dry run": "run.dryrun_fn(fn)",
    "executor": """
run.run(fn, executor=LocalExecutor(), name="add")
None
""",
    "configs": """
fn_1 = run.Partial(add_sizes, first=usual_sizes(), second=run.Config(Sizes, one=10, two=20, three=30))
fn_2 = run.Partial(add_sizes, first=Sizes(1000, 1000, 1000), second=run.Config(Sizes, 10, 20, 30))
fn_1.first.one = 100
fn_1
""",
    "experiment": """
with run.Experiment("add_object", executor=run.LocalExecutor()) as exp:
    exp.add(fn_1, tail_logs=True)
    exp.add(fn_2, tail_logs=True)
    exp.run()
""",
    "catalog": 'run.Experiment.catalog("add_object")',
    "inspect": """
with run.Experiment.from_title("add_object") as exp:
    exp.status()
    exp.logs("simple.objects.add_sizes")
""",
    "again": """
exp = run.Experiment.from_title("add_object")
exp.reset()
exp.tasks[0].first.one = 7

with exp:
    exp.run(sequential=True)
exp.logs("simple.objects.add_sizes")
""",
    "failing": """
with run.Experiment("failing") as exp:
    exp.add(run.Script(inline="exit 3"), name="fails")
    exp.run()
exp.status(return_dict=True)["fails"]["status"]
""",
    "own function": """
def own(): ...
run.run(run.Partial(own), executor=run.LocalExecutor())
""",
}


@pytest.fixture(scope="module")
def notebook(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The cells of a notebook after they ran, by name."""
    folder = tmp_path_factory.mktemp("notebook")
    shutil.copytree(PROGRAMS / "simple", folder / "simple")
    cells = [nbformat.v4.new_code_cell(source.strip()) for source in CELLS.values()]
    content = nbformat.v4.new_notebook(cells=cells)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NEMORUN_HOME", str(folder / "home"))
        patch.setenv("IPYTHONDIR", str(folder / "ipython"))
        patch.setenv("JUPYTER_RUNTIME_DIR", str(folder / "runtime"))
        patch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
        client = nbclient.NotebookClient(
            content,
            timeout=60,
            kernel_name="python3",
            allow_errors=True,
            resources={"metadata": {"path": str(folder)}},
        )
        client.execute()
    return dict(zip(CELLS, content.cells, strict=True))


def text_of(cell: Any) -> str:
    """What a cell printed, its result and its error."""
    parts = []
    for output in cell.outputs:
        if output.output_type == "stream":
            parts.append(output.text)
        elif output.output_type == "error":
            parts.append("\n".join(output.traceback))
        else:
            parts.append(output.data["text/plain"])
    return "\n".join(parts)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("partial", "<Partial[add(a=5, b=10)]>"),
        ("direct", "5 + 10 = 15"),
        ("dry run", "Resolved Arguments"),
        ("executor", "add | 5 + 10 = 15"),
        ("configs", "first=<Config[Sizes(one=100, two=10, three=15)]>"),
        ("experiment", "simple.objects.add_sizes | total = Sizes(one=110, two=30, three=45)"),
        ("experiment", "simple.objects.add_sizes_1 | total = Sizes(one=1010, two=1020, three=1030)"),
        ("catalog", "['add_object_"),
        ("inspect", "Task 1: simple.objects.add_sizes_1\n- Status: SUCCEEDED"),
        ("inspect", "total = Sizes(one=110, two=30, three=45)"),
        ("again", "total = Sizes(one=17, two=30, three=45)"),
        ("failing", "FAILED"),
        ("own function", "hint: move it to a module next to the notebook"),
    ],
)
def test_a_cell_of_a_notebook_shows(name: str, wanted: str, notebook: dict[str, Any]) -> None:
    """Each cell ends as in NeMo-Run's notebooks; a FAILED experiment ends no kernel."""
    assert wanted in text_of(notebook[name])


def test_only_an_error_of_a_cell_is_one(notebook: dict[str, Any]) -> None:
    """No other cell raises."""
    raised = [
        name for name, cell in notebook.items() if any(one.output_type == "error" for one in cell.outputs)
    ]
    assert raised == ["own function"]
