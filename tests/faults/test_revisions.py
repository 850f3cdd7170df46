"""Promise 1 for a changed spec: killed at any moment, it is either not taken up at all, or wholly."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from nemorun_cli.system import crashpoints

if TYPE_CHECKING:
    from support.workspace import Exp

SPEC = """
name: study
tasks:
  a: {script: a.sh}
  b: {inline: 'echo "old"', dependencies: [a]}
  gone: {inline: echo}
"""
MOMENTS = [
    *(
        f"{point}:1"
        for point in crashpoints.POINTS
        if point.startswith(("revision.", "ledger.", "supervisor."))
    ),
    "revision.installed:2",
    "revision.installed:3",
    "ledger.synced:2",
]


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_while_a_spec_is_changed(exp: Exp, moment: str) -> None:
    """What is shown after the kill is the old spec or the new one, and a resume ends with the new."""
    (exp.folder / "a.sh").write_text("echo old\n")
    spec = exp.spec(SPEC)
    exp("run", spec)
    (exp.folder / "a.sh").write_text("echo new\n")
    spec.write_text(SPEC.replace('"old"', '"new"').replace("  gone", "  more"))

    exp("resume", "study", "--spec", spec, "--accept-changes", code=None, env={crashpoints.VARIABLE: moment})

    shown = exp("show", "--json").json
    revision = shown["lineage"]["revision"]
    assert [task["id"] for task in shown["tasks"]] == ["a", "b", "gone" if revision == 1 else "more"]
    assert [
        finding for finding in exp("fsck", "study", "--json").json["findings"] if finding["is_damage"]
    ] == []
    if revision == 1:
        exp("resume", "study", "--spec", spec, "--accept-changes")
    else:
        exp("resume", "study")
    assert exp("logs", "study", "a").stdout == exp("logs", "study", "b").stdout == "new\n"
    assert exp("show", "--json").json["lineage"]["revision"] == 2
    assert exp.status()["status"] == "COMPLETED"
    assert (exp.directory() / "spec.yaml").read_text() == spec.read_text()
    assert exp.task("more")["attempt"] == 1
