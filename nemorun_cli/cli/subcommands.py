"""The commands of several words, each with one line of help; `exp FIRST --help` lists them."""

from __future__ import annotations

from typing import Final

SUBCOMMANDS: Final = {
    "records import": "Take over records of ML-Dash, from a folder or a server.",
    "serve token add": "Make a token for a user or a machine.",
    "serve token list": "List the tokens of a server.",
    "serve token revoke": "End tokens at once.",
    "serve check": "Check every replica against its checksums.",
}
