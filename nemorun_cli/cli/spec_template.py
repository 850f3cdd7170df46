"""The spec that `exp init` writes: small, commented, and runnable as it is."""

from __future__ import annotations

from string import Template
from typing import Final

SCHEMA_FILE: Final = ".exp.schema.json"  # next to the spec; editors take the path as relative to the spec

_TEXT: Final = Template("""\
# yaml-language-server: $$schema=$schema
# That file is for editors, and can be shared. Renew it after an upgrade: exp schema --json > $schema
#
# Check it:       exp validate $file
# See its graph:  exp graph $file
# Run it:         exp run $file
# With a param:   exp run $file -p steps=5
# Every key:      exp schema, or for instance: exp schema tasks.retry
version: 1
name: $name

params:                            # given with -p; used below as $${{ params.steps }}
  steps: {type: integer, default: 3, minimum: 1, help: how long to train}

run: {max_parallel: 2}             # so many tasks at once

tasks:
  prepare:
    inline: |                      # a script; $$EXP_SHARED is a folder for files of all tasks
      seq 1 10 > "$$EXP_SHARED/numbers.txt"
      echo "rows=$$(wc -l < "$$EXP_SHARED/numbers.txt")" >> "$$EXP_OUTPUT"    # an output, for other tasks

  train:
    group:                         # members run side by side and count as one task
      - name: small
        inline: |
          echo "training on $${{ tasks.prepare.outputs.rows }} rows, $${{ params.steps }} steps"
          echo "score=$$((1 * $${{ params.steps }}))" >> "$$EXP_OUTPUT"
      - name: large
        inline: |
          echo "training on $${{ tasks.prepare.outputs.rows }} rows, $${{ params.steps }} steps"
          echo "score=$$((10 * $${{ params.steps }}))" >> "$$EXP_OUTPUT"
    dependencies: [prepare]
    retry: {limit: 1}              # once more, if it fails
    timeout: 10m

  report:
    inline: |
      echo "small: $${{ tasks['train/small'].outputs.score }}"
      echo "large: $${{ tasks['train/large'].outputs.score }}"
    dependencies: [train]
""")


def text(name: str, *, file: str) -> str:
    """The spec for an experiment of this name, as the content of `file`."""
    return _TEXT.substitute(name=name, file=file, schema=SCHEMA_FILE)
