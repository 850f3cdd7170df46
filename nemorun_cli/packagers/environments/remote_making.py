"""The shell text that makes an environment on another host, and the meaning of its output. Pure."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.packagers.environments.interpreters import EnvironmentFault

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nemorun_cli.model.python_environment import PythonEnvironment

ANSWER: Final = "exp-environment: "  # begins the line with what is known of a complete environment
UNREACHABLE: Final = 255  # exit code of ssh for its own failures
NO_UV: Final = 93  # exit code: the host has no uv
FAILED: Final = 94  # exit code: uv failed

# The whole text is a function, so that a truncated one runs nothing. uv inherits the lock, so that nothing
# removes what it writes. The host needs POSIX sh, uv, and the Python of the version; flock if it has it.
_TEXT: Final = """\
exp_make() {{
umask 077
{first}
if ! command -v uv >/dev/null 2>&1 && [ -r /etc/profile ]; then . /etc/profile; fi >/dev/null 2>&1
PATH=$PATH:$HOME/.local/bin:$HOME/.cargo/bin
export PATH UV_PYTHON_DOWNLOADS=never UV_NO_PROGRESS=1 NO_COLOR=1
unset VIRTUAL_ENV CONDA_PREFIX PYTHONHOME PYTHONPATH UV_PROJECT_ENVIRONMENT
exp_folder={folder}
mkdir -p -- "${{exp_folder%/*}}" && cd / || return
[ -O "${{exp_folder%/*}}" ] || {{ echo "${{exp_folder%/*}} belongs to another user" >&2; return 1; }}
exec 9>"$exp_folder.lock" || return
if command -v flock >/dev/null 2>&1; then flock 9; fi
if [ ! -f "$exp_folder/manifest" ] || [ ! -x "$exp_folder/bin/python" ]; then
    command -v uv >/dev/null 2>&1 || return {no_uv}
    rm -rf -- "$exp_folder"
    uv venv --python {python} "$exp_folder" >&2 || return {failed}
    printf %s {requirements} >"$exp_folder/requirements.txt"
    printf %s {constraints} >"$exp_folder/constraints.txt"
    if [ -s "$exp_folder/requirements.txt" ]; then
        uv pip install --python "$exp_folder/bin/python" --requirements "$exp_folder/requirements.txt" \\
            --constraints "$exp_folder/constraints.txt" >&2 || return {failed}
    fi
    "$exp_folder/bin/python" -c {question} >"$exp_folder/manifest.part" || return
    sync
    mv -f -- "$exp_folder/manifest.part" "$exp_folder/manifest" || return
fi
printf '\\n%s' {answer}
cat -- "$exp_folder/manifest"
}}
exp_make
"""

_QUESTION: Final = (
    "import json, sys; from importlib import metadata;"
    "print(json.dumps({'version': '.'.join(map(str, sys.version_info[:3])), 'packages':"
    " {str(each.metadata['Name']).lower(): each.version for each in metadata.distributions()}}))"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentHost:
    """Where an environment is made, if not on this machine.

    Attributes:
        argv: the command line of a shell there that reads commands from standard input.
        folder: contains the environments.
        pre_command: shell code that runs there first.
    """

    argv: tuple[str, ...]
    folder: str
    pre_command: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The form in which the order of the process that makes the environment has it."""
        return {"argv": list(self.argv), "folder": self.folder, "pre_command": self.pre_command}


def text(environment: PythonEnvironment, *, folder: str, pre_command: str | None) -> str:
    """The shell text that makes an environment in a folder of the host, unless it is complete."""
    return _TEXT.format(
        first=f"command eval {shlex.quote(pre_command)} </dev/null >&2 || return" if pre_command else ":",
        folder=shlex.quote(f"{folder}/{environment.id}"),
        python=shlex.quote(environment.version),
        requirements=shlex.quote(_lines(environment.requirements)),
        constraints=shlex.quote(_lines(environment.constraints)),
        question=shlex.quote(_QUESTION),
        answer=shlex.quote(ANSWER),
        no_uv=NO_UV,
        failed=FAILED,
    )


def _lines(lines: Sequence[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def known(output: str) -> dict[str, Any]:
    """What the host reports of a complete environment.

    Raises:
        EnvironmentFault: the output does not have it.
    """
    line = next((line for line in reversed(output.splitlines()) if line.startswith(ANSWER)), "")
    try:
        values = json.loads(line.removeprefix(ANSWER))
        return {"version": str(values["version"]), "packages": dict(values["packages"])}
    except (ValueError, LookupError, TypeError) as error:
        raise EnvironmentFault("the host did not report what it has made") from error
