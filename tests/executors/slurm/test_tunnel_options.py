"""What a spec may say of the tunnel to a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from nemorun_cli.executors.slurm.tunnel_options import OPTIONS_SCHEMA

if TYPE_CHECKING:
    from support.workspace import Exp


@pytest.mark.parametrize(
    "given",
    [
        {"host": "login", "job_dir": "/scratch/me"},
        {"host": "fe80::1%eth0", "job_dir": "/", "user": "me", "port": 22, "identity": "~/.ssh/a key"},
        {"host": "a-b.c", "job_dir": "/x/..y/@%+,~=-_.", "artifacts": ["results/**", "a b/*.pt"]},
    ],
)
def test_a_tunnel_is_taken(given: dict[str, Any]) -> None:
    """A host as ssh takes it, a folder there, and what ssh's own configuration may leave out."""
    jsonschema.validate(given, OPTIONS_SCHEMA)


@pytest.mark.parametrize(
    "wrong",
    [
        {"host": "-oProxyCommand=id"},
        {"host": "a b"},
        {"host": "login\n"},
        {"host": "$(id)"},
        {"user": "-x"},
        {"user": "a;b"},
        {"identity": "-x"},
        {"identity": "keys/mine"},
        {"port": 0},
        {"job_dir": "jobs"},
        {"job_dir": "/a b"},
        {"job_dir": "/$(id)"},
        {"job_dir": "/a'b"},
        {"job_dir": "/a\n"},
        {"job_dir": "/a/../b"},
        {"artifacts": ["../x"]},
        {"artifacts": ["/etc/*"]},
        {"artifacts": ["-x"]},
        {"ssh_options": "x"},
    ],
)
def test_what_could_leave_its_place_is_refused(wrong: dict[str, Any]) -> None:
    """No value of a tunnel can be taken for an option, or be anything to a shell."""
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"host": "login", "job_dir": "/scratch/me", **wrong}, OPTIONS_SCHEMA)


def test_a_wrong_tunnel_is_told_with_its_place(exp: Exp) -> None:
    """A problem of a tunnel is one of the spec, with line, column and what is expected."""
    spec = exp.spec(
        "name: x\nexecutors:\n  far: {type: slurm, tunnel: {host: login, job_dir: jobs}}\n"
        "executor: far\ntasks: {a: {inline: 'true'}}\n"
    )
    told = exp("validate", spec, code=2).stderr
    assert "spec.yaml:3:" in told
    assert "executors.far.tunnel.job_dir" in told
    assert "an absolute path on the remote host" in told
