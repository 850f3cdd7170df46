from __future__ import annotations

import json
from dataclasses import replace

import pytest

from nemorun_cli.model.code_package import Package

WHOLE = Package(
    packager={"type": "git"},
    hash="0" * 64,
    store="/home/code/0",
    folder="/home/exp/code/0",
    root="/repo",
    place="experiments",
    files=1,
    bytes=2,
    facts={"commit": "abc"},
    left_out=("data/ (ignored)",),
)


@pytest.mark.parametrize(
    ("path", "shipped"),
    [
        ("/repo/experiments", "/home/exp/code/0/experiments"),
        ("/repo/experiments/a/b", "/home/exp/code/0/experiments/a/b"),
        ("/repo/experiments/../src", "/home/exp/code/0/src"),
        ("/repo", "/home/exp/code/0"),
        ("/repo/experiments/../../other", "/repo/experiments/../../other"),
        ("/repository/x", "/repository/x"),
        ("/data", "/data"),
    ],
)
def test_a_path_has_its_place_in_the_copy(path: str, shipped: str) -> None:
    """What lies in the tree lies there in the copy; everything else stays where it is."""
    assert WHOLE.shipped(path, folder="/repo/experiments") == shipped


def test_a_spec_from_elsewhere_runs_in_the_root() -> None:
    """Where the spec's own folder was not shipped, tasks that run in it run in the root of the copy."""
    package = Package.from_json({**WHOLE.to_json(), "root": "/repo/src", "place": None})
    assert package.shipped("/repo/experiments", folder="/repo/experiments") == "/home/exp/code/0"
    assert package.shipped("/repo/src/lib", folder="/repo/experiments") == "/home/exp/code/0/lib"
    assert package.shipped("/repo/experiments/a", folder="/repo/experiments") == "/repo/experiments/a"


def test_a_link_to_the_specs_folder_is_no_trap() -> None:
    """A spec that is reached by a link runs in its place, though the tree is called otherwise."""
    assert WHOLE.shipped("/home/me/link/x", folder="/home/me/link") == "/home/exp/code/0/experiments/x"


def test_a_package_survives_json() -> None:
    """What is written is read back, and what a later version adds is passed over."""
    document = json.loads(json.dumps({**WHOLE.to_json(), "later": 1}))
    assert Package.from_json(document) == WHOLE
    assert WHOLE.commit == "abc"
    assert Package.from_json({**document, "facts": {"parts": {".": {"commit": "x"}}}}).commit == "x"


def test_a_content_may_name_where_tasks_start() -> None:
    """Only the spec's folder as workdir means that place; scripts and other folders keep theirs."""
    started = replace(WHOLE, start=".")
    assert started.workdir("/repo/experiments", folder="/repo/experiments") == "/home/exp/code/0"
    assert started.workdir("/repo/src", folder="/repo/experiments") == "/home/exp/code/0/src"
    assert started.shipped("/repo/experiments", folder="/repo/experiments") == "/home/exp/code/0/experiments"
    assert WHOLE.workdir("/repo/experiments", folder="/repo/experiments") == "/home/exp/code/0/experiments"
    assert Package.from_json(started.to_json()) == started
