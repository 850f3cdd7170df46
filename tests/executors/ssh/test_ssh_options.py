"""The options of an ssh executor, and what a host gets of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from nemorun_cli.executors.ssh.executor import SshExecutor
from nemorun_cli.executors.ssh.ssh_options import OPTIONS_SCHEMA, hosts_of

if TYPE_CHECKING:
    from support.workspace import Exp


@pytest.mark.parametrize(
    "given",
    [
        {"hosts": ["gpu1"]},
        {"hosts": ["gpu1", {"host": "me.example.org", "slots": 4, "user": "me", "port": 22}]},
        {"hosts": [{"host": "fe80::1%eth0", "gpus": [0, "GPU-1a"], "cpus": 2.5, "memory": "4G"}]},
        {"hosts": ["a"], "job_dir": "/x/y", "pre_command": ". ~/.profile"},
    ],
)
def test_options_are_taken(given: dict[str, Any]) -> None:
    """A name is enough for a host; a mapping specifies how it is reached and what of it may be used."""
    jsonschema.validate(given, OPTIONS_SCHEMA)


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"hosts": []},
        {"hosts": "gpu1"},
        {"hosts": ["-oProxyCommand=id"]},
        {"hosts": ["a b"]},
        {"hosts": [{"host": "$(id)"}]},
        {"hosts": [{"slots": 4}]},
        {"hosts": [{"host": "a", "slots": 0}]},
        {"hosts": [{"host": "a", "job_dir": "/x"}]},
        {"hosts": ["a"], "job_dir": "jobs"},
        {"hosts": ["a"], "job_dir": "/a b"},
        {"hosts": ["a"], "job_dir": "/a/../b"},
    ],
)
def test_what_could_leave_its_place_is_refused(wrong: dict[str, Any]) -> None:
    """No value can be taken for an option of ssh, or be anything to a shell."""
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, OPTIONS_SCHEMA)


def test_a_host_that_is_named_twice_is_one() -> None:
    """The first entry counts; the same name with another port is another host."""
    entries = ["a", {"host": "a", "slots": 2}, {"host": "a", "port": 23, "slots": 3}]
    assert [host.limits for host in hosts_of({"hosts": entries})] == ["-:-:-:-", "3:-:-:-"]


def test_limits_reach_the_host() -> None:
    """What of a host may be used, in bytes; a list of GPUs differs from a number of them."""
    entries = [{"host": "a", "cpus": 2, "memory": "1K", "gpus": 1}, {"host": "b", "gpus": [1]}]
    assert [host.limits for host in hosts_of({"hosts": entries})] == ["-:2:1024:1", "-:-:-:1,"]


def test_only_one_host_makes_environments() -> None:
    """With several hosts, an environment would be missing on all but one."""
    one, two = (SshExecutor.capabilities({"hosts": hosts}) for hosts in (["a"], ["a", {"host": "b"}]))
    assert (one.environment_host, two.environment_host) == ("a", None)


def test_a_wrong_host_is_reported_with_its_place(exp: Exp) -> None:
    """A problem of a host is one of the spec, with line, column and what is expected."""
    spec = exp.spec(
        "name: x\nexecutors:\n  boxes: {type: ssh, hosts: [gpu1, {host: gpu2, slot: 4}]}\n"
        "executor: boxes\ntasks: {a: {inline: 'true'}}\n"
    )
    reported = exp("validate", spec, code=2).stderr
    assert "spec.yaml:3:" in reported
    assert "executors.boxes.hosts" in reported
