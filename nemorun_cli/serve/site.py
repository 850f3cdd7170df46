"""What one server serves, and with which settings; all endpoints get it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from nemorun_cli.replication import protocol

if TYPE_CHECKING:
    from pathlib import Path

OWN_OF_ROOT: Final = ".server"
OWN_OF_HOME: Final = "server"


@dataclass(frozen=True, slots=True)
class Site:
    """One server.

    Attributes:
        root: the folder of the replicas that it collects; None for one that shows this machine's own files.
        home: this machine's `NEMORUN_HOME`, shown if `root` is None.
        dash_roots: folders of records, shown if `root` is None.
        own: the folder of the server's own files (`ROOT/.server` or `NEMORUN_HOME/server`): tokens,
            sessions, times, cache.
        allows_control: whether a token with the scope `control` may cancel, resume and the like.
        is_private: whether users read only what is below their own prefixes.
        largest_file: bytes of one saved file.
        quota: bytes of the files of one user; None for no limit.
    """

    root: Path | None
    home: Path
    dash_roots: tuple[Path, ...]
    own: Path
    allows_control: bool = False
    is_private: bool = False
    largest_file: int = protocol.LARGEST_FILE
    quota: int | None = None

    @property
    def acts(self) -> bool:
        """Whether anybody may act on its experiments: nobody acts on replicas."""
        return self.root is None and self.allows_control


def own_folder(root: Path | None, home: Path) -> Path:
    """The folder of the server's own files.

    Args:
        root: the folder of the replicas that it collects; None for this machine's own files.
        home: this machine's `NEMORUN_HOME`.
    """
    return home / OWN_OF_HOME if root is None else root / OWN_OF_ROOT
