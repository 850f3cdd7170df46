"""Records whose prefixes contain glob characters, as those of matrix members do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from nemorun_cli.tracking import Experiment

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.workspace import Exp

COUSINS = {"x[1]": "x1", "s*r": "star", "q?": "qq"}  # the names, and what each matches as a glob


def recorded(exp: Exp, *names: str, is_left: bool = False) -> Callable[..., str]:
    """Records with these names under `a/b`; returns a call of `exp` about them, which gives its output."""
    root = exp.home / "records"
    for name in names:
        with Experiment(f"a/b/{name}", dash_root=root, print_logs=False).run as experiment:
            experiment.params.set(p=1)
            experiment.metrics("m").log(v=1)
            experiment.files("f").save_text(name, to="t.txt")
        if is_left:
            (opening,) = (root / "a/b" / name / ".record/openings").glob("*.jsonl")
            first, *_ = opening.read_text().splitlines()
            opening.write_text(f"{first}\n")
    return lambda *words: exp(*words, "--dash-root", root).stdout


@pytest.mark.parametrize("command", ["metrics", "compare", "params", "files", "records", "metrics -f"])
def test_readers_take_an_existing_prefix_literally(shared: Exp, command: str) -> None:
    """A prefix that a record has means this record alone; any other with glob characters is a glob."""
    is_recorded = (shared.home / "records").exists()
    call = recorded(shared, *([] if is_recorded else [*COUSINS, *COUSINS.values()]))
    first, *options = command.split()
    for name, cousin in COUSINS.items():
        shown = call(first, f"a/b/{name}", *options)
        assert f"a/b/{cousin} " not in shown
        assert "a/b/" in shown or options
    shown = call(first, "a/b/[sx]*", *options)
    assert all(f"a/b/{name} " in shown for name in ("x[1]", "x1", "s*r", "star"))
    assert call(first, "a/b/x[1]/", *options) == call(first, "a/b/x[1]", *options)


def test_changes_take_an_existing_prefix_literally(exp: Exp) -> None:
    """`tag`, `note`, `close` and `rm` change the record of exactly this prefix, without `--yes`."""
    call = recorded(exp, *COUSINS, *COUSINS.values(), is_left=True)
    for name in COUSINS:
        call("tag", f"a/b/{name}", "+best")
        call("note", f"a/b/{name}", "seen")
        call("close", f"a/b/{name}")
        call("rm", f"a/b/{name}")
    assert call("records", "-q").split() == sorted(f"a/b/{name}" for name in COUSINS.values())
    assert call("records", "-q", "--tag", "best", "--status", "failed") == ""
    exp("tag", "a/b/x[2]", "+best", "--dash-root", exp.home / "records", code=2)
    removed = exp("tag", "a/b/x[1]", "+best", "--dash-root", exp.home / "records", code=3).stderr
    assert "exp rm --restore a/b/x[1]" in removed
    exp("rm", "--restore", "a/b/x[1]")
    assert call("records", "-q", "--tag", "best", "--status", "failed").split() == ["a/b/x[1]"]
