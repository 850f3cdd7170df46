"""The copy of a resolved spec without the values of its variables."""

from __future__ import annotations

import json
from typing import Any

from nemorun_cli.replication import masked_spec

DOCUMENT: dict[str, Any] = {
    "name": "x",
    "env": {"GENERAL": "general-value"},
    "params": {"level": "shown-value", "env": "production"},
    "secrets": {"TOKEN": {"file": "/home/alice/token"}},
    "executors": {
        "box": {
            "type": "docker",
            "extra": {"env": {"DEEP": "deep-value"}, "labels": ["general-value"]},
            "list": [{"env": ["LISTED=listed-value"]}],
        }
    },
    "plugins": [{"uses": "p", "options": {"env": {"A": "of-plugin"}, "word": "deep-value"}}],
    "shared": {"g": {"body": "echo shared-of-group", "env": {"S": "shared-of-group"}}},
    "tasks": [
        {
            "id": "a",
            "body": "run general-value private-value",
            "env": {"OWN": "private-value", "P": "shown-value"},
        },
        {"id": "b", "kind": "partial", "args": {"env": "production", "x": ["general-value"]}},
        {
            "id": "g/1",
            "matrix": {"env": "production"},
            "env": {"M": "production"},
            "args": ["shared-of-group"],
        },
    ],
}


def test_every_value_of_a_variable_is_masked() -> None:
    """At the top, in tasks, sweeps, executors and plugins, and where another text has it."""
    text = masked_spec.masked(DOCUMENT).decode()
    for value in (
        "general-value",
        "deep-value",
        "listed-value",
        "of-plugin",
        "shared-of-group",
        "private-value",
    ):
        assert value not in text
    assert "/home/alice/token" not in text


def test_names_params_and_matrix_values_stay() -> None:
    """What is called `env` without being an environment is kept, as is what a param shows anyway."""
    copy = json.loads(masked_spec.masked(DOCUMENT))
    assert copy["params"] == DOCUMENT["params"]
    assert copy["tasks"][1]["args"] == {"env": "production", "x": ["***"]}
    assert copy["tasks"][2]["matrix"] == {"env": "production"}
    assert copy["tasks"][0]["env"] == {"OWN": "***", "P": "***"}
    assert copy["executors"]["box"]["list"] == [{"env": ["LISTED=***"]}]
    assert copy["masked"] == ["env"]


def test_what_readers_check_stays() -> None:
    """A value that is also the host of a tunnel, or a folder, does not make the copy unreadable."""
    tunnel = {"host": "cluster.example.org", "job_dir": "/scratch/jobs"}
    document = {
        **DOCUMENT,
        "env": {"HOST": "cluster.example.org", "FOLDER": "/scratch"},
        "executors": {"far": {"type": "slurm", "tunnel": tunnel, "comment": "on cluster.example.org"}},
        "packages": [{"store": "/scratch/code"}],
    }
    copy = json.loads(masked_spec.masked(document))
    assert copy["executors"] == {"far": {"type": "slurm", "tunnel": tunnel, "comment": "on ***"}}
    assert copy["packages"] == document["packages"]


def test_a_copy_is_the_same_each_time() -> None:
    """So that it is sent once, and again only when the spec has changed."""
    assert masked_spec.masked(DOCUMENT) == masked_spec.masked(json.loads(json.dumps(DOCUMENT)))
