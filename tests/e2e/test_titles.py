"""Titles: any text for people, and the name that it gives."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from support.workspace import Exp

SPEC = "title: My Experiment (ü)\ntasks: {one: {command: 'true'}}\n"
ID = "my-experiment-u_"


def test_a_title_is_shown_and_found(exp: Exp) -> None:
    """It names the experiment, is where people look, and is taken in place of the name."""
    path = exp.spec(SPEC, "study.yaml")
    assert "My Experiment (ü)" in exp("run", path).stderr
    title = "My Experiment (ü)"
    (listed,) = exp("list", "--json").json["experiments"]
    assert (listed["name"], listed["title"]) == ("my-experiment-u", title)
    assert title in exp("list").stdout
    assert title in exp("graph", "latest").stdout
    shown = exp("status", title, "--json").json
    assert (shown["title"], shown["id"][: len(ID)]) == (title, ID)
    assert exp("show", title, "--json").json["title"] == title
    assert f"title:      {title}" in exp("status", title).stdout
    assert exp("rerun", title, "-q").stdout.startswith(ID)
    assert "no experiment" in exp("status", "My Experiment", code=3).stderr


def test_a_title_of_several_names_is_ambiguous(exp: Exp) -> None:
    """A name may be given with it; which of several is meant is not guessed. A name is no title."""
    for name in ("one", "two"):
        exp("run", exp.spec(f"name: {name}\n{SPEC}"), "-q")
    assert "one" in (refused := exp("status", "My Experiment (ü)", code=2).stderr)
    assert "two" in refused
    hint = exp("validate", exp.spec("name: My Experiment\ntasks: {one: {command: 'true'}}"), code=2).stderr
    assert "title: My Experiment" in hint
    exp("validate", exp.spec('title: "a\\nb"\ntasks: {one: {command: "true"}}'), code=2)
