"""The variables that a task on another host gets from this one, and which of them are secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nemorun_cli.system import environment

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nemorun_cli.model.plan import Plan


def inherited(plan: Plan) -> dict[str, str]:
    """The variables that a plan names; those that Slurm sets are the job's own, not an enclosing job's."""
    if not isinstance(plan.env_inherit, tuple):
        return {}
    named = environment.inherited(plan.env_inherit)
    secret = environment.withheld(plan.env_inherit)
    return {
        name: value for name, value in named.items() if not name.startswith("SLURM_") and name not in secret
    }


def named_secrets(plan: Plan, secrets: Mapping[str, str]) -> list[str]:
    """The variables with other tasks' secrets that the task inherits by name: no script may hold them.

    `secrets` are the secrets of all tasks, by name.
    """
    return [
        name
        for name, value in environment.withheld(plan.env_inherit).items()
        if name not in plan.env and name not in plan.secrets and secrets.get(name, value) == value
    ]


def secret_values(plan: Plan, secrets: Mapping[str, str]) -> dict[str, str]:
    """The secrets of a task, by name; `secrets` are those of all tasks."""
    named = environment.withheld(plan.env_inherit)
    return {name: secrets[name] if name in secrets else named[name] for name in plan.secrets}
