"""A value that tracking refuses is a ValueError of that call, and a usage error of `exp`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from nemorun_cli import dash
from nemorun_cli.errors import InvalidValueError, UsageError
from nemorun_cli.tracking import Experiment, record

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CALLS: dict[str, Callable[[Any], object]] = {
    "params, value and group": lambda it: it.params.set(a=1).set({"a.b": 2}),
    "params, empty part": lambda it: it.params.set({"a..b": 1}),
    "params, given twice": lambda it: it.params.set({"a.b": 1, "a": {"b": 2}}),
    "params, not set": lambda it: it.params.unset("missing"),
    "metric, no name": lambda it: it.metrics(""),
    "metric, long name": lambda it: it.metrics("x" * 400).log(x=1),
    "track, no name": lambda it: it.tracks(""),
    "track, format": lambda it: it.tracks("t").read(format="parquet"),
    "log level": lambda it: it.log("x", level="zz"),
    "lines of a level": lambda it: it.logs.read(level="zz"),
    "lines that match": lambda it: it.logs.read(grep="("),
    "files, outside": lambda it: it.files.save("x", to="../x.txt"),
    "files, folder outside": lambda it: it.files(".."),
    "files, no name": lambda it: it.files.save_text("x", to=""),
    "tag, empty": lambda it: it.tag(add=" "),
    "tag, none": lambda it: it.tag(),
    "tag, both": lambda it: it.tag(add="a", remove="a"),
    "note, empty": lambda it: it.note(""),
    "aggregation": lambda it: it.metrics.buffer.log_summary("mode"),
    "attempt": lambda it: it.metrics("m").read(attempts=0),
    "prefix": lambda _: Experiment(prefix="../x"),
    "prefix, template": lambda _: Experiment("a/{missing}"),
    "prefix, empty": lambda _: Experiment(""),
    "prefix of ML-Dash": lambda _: dash.Experiment(prefix="../x"),
    "resume": lambda _: Experiment("a", resume="no"),
    "server": lambda _: Experiment("a/b", dash_url="api.dash.ml"),
    "server, none is known": lambda _: Experiment("a/b", dash_url=True),
    "server, prefix without an owner": lambda _: Experiment("a", dash_url="https://api.dash.ml"),
    "server, reserved prefix": lambda _: Experiment(".outbox/a", dash_url="https://api.dash.ml"),
    "sync": lambda it: it.sync(-1),
    "root": lambda _: Experiment("a", dash_root="a\0"),
    "reader": lambda it: record(it.dash_root, "../x"),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_refused_value_is_a_value_error(name: str, experiment: Experiment) -> None:
    """What a call refuses because of a value can be caught as ValueError, and the record goes on."""
    with pytest.raises(ValueError, match=r"."):
        CALLS[name](experiment)
    experiment.metrics("m").log(x=1)


def test_a_switch_with_another_value_is_a_value_error(monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
    """`EXP_TRACKING` is checked where an experiment is made."""
    monkeypatch.setenv("EXP_TRACKING", "maybe")
    with pytest.raises(ValueError, match="EXP_TRACKING"):
        Experiment("a", dash_root=root)


def test_it_is_a_usage_error_as_well() -> None:
    """Programs and commands that catch usage errors still do, with their exit code and the hint."""
    with pytest.raises(UsageError) as caught:
        Experiment("")
    assert isinstance(caught.value, InvalidValueError)
    assert (caught.value.exit_code, caught.value.hint) == (2, "write it as owner/project/name")
