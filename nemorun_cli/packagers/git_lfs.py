"""Recognizes Git LFS pointers: small text files that git stores in place of large files.

The form is that of the Git LFS specification (https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from nemorun_cli.packagers.content import blocks

if TYPE_CHECKING:
    from nemorun_cli.packagers.content import Entry

SIZES: Final = range(100, 1024)  # bytes of a pointer
_POINTER: Final = re.compile(
    rb"version https://git-lfs\.github\.com/spec/v1\n([a-z0-9.-]+ [^\n]+\n)*"
    rb"oid [a-z0-9]+:[0-9a-f]+\n([a-z0-9.-]+ [^\n]+\n)*size [0-9]+\n([a-z0-9.-]+ [^\n]+\n)*"
)


def is_pointer(entry: Entry) -> bool:
    """Whether the file of an entry is a pointer."""
    if entry.source is None or entry.size not in SIZES:
        return False
    content = b"".join(blocks(entry)).replace(b"\r\n", b"\n")
    return _POINTER.fullmatch(content) is not None
