"""The texts that a host needs for one attempt: how its shim is launched, and its secrets. Pure."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Final

from nemorun_cli.storage.paths import AttemptFiles

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nemorun_cli.model.plan import Plan

LAUNCH: Final = "launch"  # in an attempt's folder: the function that becomes its shim
SECRETS: Final = "secrets"  # in an attempt's folder on the host, until the task has read it
STDERR: Final = AttemptFiles(Path()).stderr.name


def launch_text(plan: Plan, line: Sequence[str], *, env: Mapping[str, str]) -> str:
    """Shell text for `host.sh task`: the program to look for on the PATH, and the function `exp_launch`.

    The variables go through `env`, because a shell cannot assign all of them.

    Args:
        plan: of the attempt.
        line: the command line of the shim.
        env: the variables of the task, without secrets.
    """
    missing = {"exit_code": None, "launch": f"there is no program {plan.argv[0]!r} on the PATH of its host"}
    values = {
        "EXP_SSH_PROGRAM": plan.argv[0],
        "EXP_SSH_MISSING": json.dumps(missing),
        "EXP_SSH_ERROR": "" if plan.stderr_to_stdout else STDERR,
        "EXP_SSH_NO_GPUS": "yes" if plan.resources.gpus == 0 else "",
    }
    if "PATH" in env:
        values["EXP_SSH_PATH"] = env["PATH"]
    assigned = "".join(f"{name}={shlex.quote(value)}\n" for name, value in values.items())
    defaults = "".join(
        f'[ -n "${{{name}+set}}" ] || export {shlex.quote(f"{name}={env[name]}")}\n' for name in plan.defaults
    )
    fixed = shlex.join(f"{name}={value}" for name, value in env.items() if name not in plan.defaults)
    return f'{assigned}{defaults}exp_launch() {{ exec env {fixed} "$@" {shlex.join(line)}; }}\n'


def secrets_text(values: Mapping[str, str]) -> str:
    """Shell text that exports secrets; a shell's own commands show them to nobody."""
    return "".join(f"export {shlex.quote(f'{name}={value}')}\n" for name, value in values.items())
