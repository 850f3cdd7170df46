from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from nemorun_cli.errors import SpecError
from nemorun_cli.model.spec import Spec
from nemorun_cli.spec import load

if TYPE_CHECKING:
    from pathlib import Path

LOSS = r"loss=(?P<loss>\S+)"


def resolved(tasks: dict[str, Any], **header: Any) -> Spec:
    """The spec of these tasks."""
    return load.validate({"name": "a", **header, "tasks": tasks})


def problems(tmp_path: Path, metrics: str) -> list[str]:
    """What is wrong with a task's metrics, each with its place."""
    path = tmp_path / "spec.yaml"
    path.write_text(f"name: a\ntasks:\n  t:\n    inline: x\n    metrics: {metrics}\n")
    with pytest.raises(SpecError) as caught:
        load.validate(path)
    return [f"{problem.path}: {problem.message} ({problem.hint})" for problem in caught.value.problems]


def test_patterns_are_merged_series_by_series() -> None:
    """A member has the patterns of the defaults, its group and its own; of one series the nearest count."""
    spec = resolved(
        {
            "g": {
                "group": [{"inline": "x", "metrics": {"a": [LOSS, "json"]}}],
                "metrics": {"a": LOSS, "b": LOSS},
            },
            "plain": {"inline": "x"},
        },
        defaults={"metrics": {"b": "json", "c": "json"}},
    )
    assert spec.tasks[0].metrics == {"a": (LOSS, "json"), "b": (LOSS,), "c": ("json",)}
    assert spec.tasks[1].metrics == {"b": ("json",), "c": ("json",)}


def test_patterns_come_back_from_the_resolved_spec() -> None:
    """What the supervisor reads is what was written, in sweeps too."""
    task = {"inline": "x", "metrics": {"a": LOSS}}
    spec = resolved({"plain": task, "swept": {**task, "matrix": {"lr": [1, 2]}}, "none": {"inline": "x"}})
    assert [one.metrics for one in Spec.from_json(spec.to_json()).tasks] == [{"a": (LOSS,)}] * 3 + [{}]


def test_what_is_wrong_with_a_pattern_is_told_at_its_place(tmp_path: Path) -> None:
    """Every pattern that can find nothing is a problem of its own, with what to write."""
    (unclosed,) = problems(tmp_path, "{train: 'loss=(?P<loss>'}")
    assert unclosed.startswith("tasks.t.metrics.train: is not a regular expression")
    several = problems(tmp_path, r"{a: ['loss=(\S+)', json, 'epoch (?P<epoch>\d+)'], b: 7, '': json}")
    assert [one.partition(": ")[0] for one in several] == [
        "tasks.t.metrics.a.0",
        "tasks.t.metrics.a.2",
        "tasks.t.metrics.b",
        "tasks.t.metrics.",
    ]
    assert "(?P<loss>" in several[0]


def test_the_name_of_a_series_has_to_fit_a_file(tmp_path: Path) -> None:
    """A name that no file could have is told before anything runs."""
    (told,) = problems(tmp_path, f"{{{'/' * 70}: json}}")
    assert "too long" in told
