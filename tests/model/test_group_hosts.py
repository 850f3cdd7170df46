"""What the members of a group are called, as variables and as hosts."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nemorun_cli.model import group_hosts
from nemorun_cli.model.spec import Group

VALID = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def group(name: str, *members: str) -> Group:
    """A group of these members."""
    return Group(id=name, members=tuple(f"{name}/{member}" for member in members), together=True)


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("server", "server"),
        ("Data_Server.2", "data-server-2"),
        ("0", "0"),
        ("lr=0.1,seed=1", "lr-0-1-seed-1"),
        ("ends_", "ends-14875a"),
        ("x" * 64, f"{'x' * 56}-7ce100"),
    ],
)
def test_labels_of_names(name: str, label: str) -> None:
    """Lower case and hyphens; a name that is no label then ends in a hash of itself."""
    assert group_hosts.label(name) == label


@given(st.text(min_size=1))
def test_every_name_gives_a_valid_label(name: str) -> None:
    """Whatever a member is called, RFC 1123 takes its label."""
    assert VALID.fullmatch(group_hosts.label(name))


@given(st.lists(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", fullmatch=True), unique=True, max_size=5))
def test_members_with_own_variables_have_own_labels(names: list[str]) -> None:
    """If no two members share a variable, no two share a host's name either."""
    if not [*group_hosts.same_variables(names)]:
        assert len({group_hosts.label(name) for name in names}) == len(names)


def test_aliases_are_short_only_where_they_are_clear() -> None:
    """The first is unique; the member's name alone is an alias only if no other group has such a member."""
    found = group_hosts.aliases([group("a", "server", "solo"), group("b", "Server")], "0123")
    assert found == {
        "a/server": ("server.a.0123.exp.internal", "a.server"),
        "a/solo": ("solo.a.0123.exp.internal", "a.solo", "solo"),
        "b/Server": ("server.b.0123.exp.internal", "b.server"),
    }
    alike = group_hosts.aliases([group("a_b", "x"), group("a-b", "x")], "0123")
    assert len({names[0] for names in alike.values()}) == len({names[1] for names in alike.values()}) == 2
    assert all(VALID.fullmatch(part) for names in alike.values() for part in names[0].split("."))


def test_members_that_would_share_a_variable_are_found() -> None:
    """Each is named with the member that has the variable."""
    found = group_hosts.same_variables(["a.b", "c", "A-B", "a_b"])
    assert list(found) == [("a.b", "A-B"), ("a.b", "a_b")]


def test_variables_have_all_hosts_and_the_first() -> None:
    """The object has every host of each member; what is too long for an environment is left out."""
    hosts = {"the.server": ["n1", "n2"], "client": ["n3"]}
    found = group_hosts.variables(hosts)
    assert json.loads(found.pop("EXP_GROUP_HOSTS")) == hosts
    assert found == {"EXP_HOST_THE_SERVER": "n1", "EXP_HOST_CLIENT": "n3"}
    assert group_hosts.variables({}) == {}
    assert group_hosts.variables({f"member-{number}": ["127.0.0.1"] for number in range(2000)}) == {}
