"""The page as it is built from the sources in `web/`: files that are handed out as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Final

STATIC: Final = Path(__file__).with_name("static")
"""The folder of the built files. `npm run build` in `web/` writes all of it."""
