"""From a spec's YAML to a resolved Spec, or to all of its problems at once.

The steps: read the text; put in what `--set` says; type the params; fill in the expressions; check
the form; check the meaning and build the tasks. What one step refuses is cut out before the next,
so that each cause is told once.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from nemorun_cli import dependencies, params as parameters, quantities, schema
from nemorun_cli.errors import SpecError
from nemorun_cli.expressions import experiment_names
from nemorun_cli.filling import Filler
from nemorun_cli.layers import Laying, Layers
from nemorun_cli.members import Building
from nemorun_cli.overrides import applied
from nemorun_cli.problems import Finding, Problem, choices
from nemorun_cli.source import Source, in_order, open_source
from nemorun_cli.spec import Group, Identity, RunOptions, Spec, Task
from nemorun_cli.templates import OPENING, UNKNOWN
from nemorun_cli.yamltext import parse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from nemorun_cli.problems import Place

__all__ = ["Document", "Identity", "read", "resolve", "validate"]

_NAME = re.compile(r"(?!(?:[0-9]+|latest|attempt-[0-9]+)\Z)[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_LOCAL_OPTIONS: Mapping[str, Any] = {"type": "object", "additionalProperties": False}
_SHARED_OPTIONS = frozenset(("type", "env", "env_file", "env_inherit"))  # of executors of every type
