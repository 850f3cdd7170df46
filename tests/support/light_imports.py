"""What the import of the SDK may not load: each is slow, or reaches out of the process."""

from __future__ import annotations

from typing import Final

HEAVY: Final = {
    *(
        "asyncio",
        "concurrent.futures",
        "dataclasses",
        "hashlib",
        "importlib.metadata",
        "inspect",
        "logging",
        "numpy",
    ),
    *(
        "pathlib",
        "pydantic",
        "shutil",
        "socket",
        "ssl",
        "subprocess",
        "tempfile",
        "torch",
        "traceback",
        "urllib",
    ),
}
