"""Answers of ML-Dash's API: JSON that its clients can read, and errors in one form."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from nemorun_cli.serve.refusals import refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["answer", "refusal"]


def answer(content: Mapping[str, Any], *, status: int = 200) -> Response:
    """A JSON answer. NaN and infinities are written as Python reads them: the clients know no other form."""
    text = json.dumps(content, ensure_ascii=True, separators=(",", ":"))
    return Response(text.encode("ascii"), status_code=status, media_type="application/json")
