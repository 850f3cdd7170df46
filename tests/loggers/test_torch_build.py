"""Which build of PyTorch the stage of tests/run installs."""

from __future__ import annotations

import json

import pytest
from support.torch_build import needed_for_gpus, pin

LINUX = 'platform_system == "Linux"'
OTHER = 'platform_system == "Windows"'


@pytest.mark.parametrize(
    ("needs", "found"),
    [
        (["filelock", "sympy>=1.13.3"], []),
        (["filelock", f"cuda-bindings<14; {LINUX}", f"nvidia-nccl-cu13==2.29; {LINUX}"], 2),
        (["filelock", f"nvidia-nccl-cu13==2.29; {OTHER}", 'triton; extra == "compile"'], []),
    ],
)
def test_a_build_for_gpus_is_seen_in_what_it_needs(needs: list[str], found: object) -> None:
    """Pip's report says what a build needs on this machine; packages for GPUs make it one for GPUs."""
    report = json.dumps({"install": [{"metadata": {"name": "torch", "requires_dist": needs}}]})
    needed = needed_for_gpus(report)
    assert (len(needed) or []) == found


def test_one_release_of_pytorch_is_pinned() -> None:
    """The extra test-torch names one release, without torchvision."""
    assert str(pin()).startswith("torch==")
