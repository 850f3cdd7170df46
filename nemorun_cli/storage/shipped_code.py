"""What was shipped with an experiment, file by file, from the lists next to its packages."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from nemorun_cli.errors import LedgerError
from nemorun_cli.system.files import read_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nemorun_cli.model.code_package import Package


def contents(packages: Iterable[Package]) -> dict[str, str]:
    """What was shipped, for comparison: the commit, and for each file its hash, or the target of a link.

    If there are several packages, each key starts with the package's number.

    Raises:
        LedgerError: a list exists and cannot be read.
    """
    found: dict[str, str] = {}
    shipped = list(packages)
    for number, package in enumerate(shipped):
        prefix = f"{number}: " if len(shipped) > 1 else ""
        if package.commit:
            found[f"{prefix}commit"] = package.commit
        found |= {prefix + path: content for path, content in _listed(f"{package.folder}.files").items()}
    return found


def _listed(listing: str) -> dict[str, str]:
    try:
        entries = map(json.loads, read_bytes(listing, follows_link=False).decode().splitlines())
        return {entry["path"]: entry.get("sha256") or f"-> {entry.get('target', '')}" for entry in entries}
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise LedgerError(f"cannot read {listing}: {error.strerror}") from error
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise LedgerError(f"{listing} is not a list of shipped files: {error}") from error
