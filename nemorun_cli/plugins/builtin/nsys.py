"""The plugin `nsys`: runs tasks under NVIDIA Nsight Systems, with one report per attempt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from nemorun_cli.model import units
from nemorun_cli.plugins import Launch, Plugin
from nemorun_cli.plugins.builtin.templates import WORDS, filled

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_TEXT = {"type": "string", "minLength": 1}
_DURATION = {"title": "a duration such as 30s", "type": ["string", "number"]}


class Nsys(Plugin):
    """Puts `nsys profile` in front of commands. See docs/extend/plugins.md."""

    schema: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "trace": {
                "description": "What is traced.",
                "type": "array",
                "minItems": 1,
                "items": _TEXT,
                "default": ["cuda", "nvtx", "osrt"],
            },
            "capture": {
                "description": "Profile only a range that the program marks: cuda (cudaProfilerStart and "
                "cudaProfilerStop) or the name of an NVTX range.",
                **_TEXT,
            },
            "delay": {"description": "How long to wait before profiling.", **_DURATION},
            "duration": {"description": "How long to profile.", **_DURATION},
            "output": {
                "description": f"The path of the report without its suffix; may contain {WORDS}. "
                "Default: {task_dir}/nsys-N for attempt N.",
                **_TEXT,
            },
            "options": {
                "description": "Further options of `nsys profile`.",
                "type": "array",
                "items": _TEXT,
                "examples": [["--gpu-metrics-devices=all"]],
            },
            "program": {"description": "The nsys executable.", "default": "nsys", **_TEXT},
        },
    }

    def __init__(
        self,
        *,
        trace: Sequence[str] = ("cuda", "nvtx", "osrt"),
        capture: str | None = None,
        delay: str | float | None = None,
        duration: str | float | None = None,
        output: str = "{task_dir}/nsys-%q{EXP_ATTEMPT}",
        options: Sequence[str] = (),
        program: str = "nsys",
    ) -> None:
        self._program, self._output = program, output
        self._options = [f"--trace={','.join(trace)}", *_capture_options(capture)]
        for name, value in (("delay", delay), ("duration", duration)):
            if value is not None:
                self._options.append(f"--{name}={units.duration(value):g}")
        self._options += options

    def change(self, launch: Launch) -> Launch:
        """Put the profiler before the command; nsys itself expands `%q{EXP_ATTEMPT}`."""
        output = f"--output={filled(self._output, launch)}"
        return launch.with_prefix(self._program, "profile", output, "--force-overwrite=true", *self._options)


def _capture_options(capture: str | None) -> list[str]:
    if capture is None:
        return []
    if capture == "cuda":
        return ["--capture-range=cudaProfilerApi", "--capture-range-end=stop"]
    return ["--capture-range=nvtx", f"--nvtx-capture={capture}", "--capture-range-end=stop"]
