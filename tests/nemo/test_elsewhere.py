"""NeMo-Run's classes that have no counterpart."""

from __future__ import annotations

from typing import Any

import pytest

from nemorun_cli.errors import UsageError
from nemorun_cli.nemo import elsewhere

ELSEWHERE = [value for value in vars(elsewhere).values() if isinstance(value, elsewhere.Absent)]


@pytest.mark.parametrize("kind", ELSEWHERE, ids=lambda kind: kind.__name__)
def test_a_class_without_a_counterpart_says_what_to_use(kind: Any) -> None:
    """Importing and deriving from it is allowed; making one, and its parts, are errors with a remedy."""
    class_of_a_program = type("Ours", (kind,), {})
    for made in (kind, class_of_a_program):
        with pytest.raises(UsageError, match=f"{made.__name__} has no counterpart: exp ") as refused:
            made(anything=1)
        assert refused.value.hint
    with pytest.raises(UsageError, match="has no counterpart"):
        _ = kind.HEAD_NODE_IP_VAR
    assert not hasattr(kind, "__fspath__")


def test_the_classes_without_a_counterpart_are_all_there() -> None:
    """Each public class of NeMo-Run that is not translated is refused by name."""
    assert {kind.__name__ for kind in ELSEWHERE} >= {
        "LeptonExecutor",
        "DGXCloudExecutor",
        "SkypilotExecutor",
        "SkypilotJobsExecutor",
        "KubeflowExecutor",
        "PyTorchJobExecutor",
        "KubeRayExecutor",
        "RayCluster",
        "RayJob",
        "SlurmRay",
        "FaultTolerance",
        "SlurmTemplate",
        "DevSpace",
        "ExecutorMacros",
    }
