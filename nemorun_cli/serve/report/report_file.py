"""One HTML file with the built script, the style and the data of a report, under a policy of its own."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli import page
from nemorun_cli.errors import UsageError
from nemorun_cli.model.control_characters import one_line
from nemorun_cli.system import files

if TYPE_CHECKING:
    from collections.abc import Mapping

SCRIPT: Final = "report.js"
STYLE: Final = "report.css"
LARGEST: Final = 1 << 23  # bytes of a built file
# What would end the element that contains it, or begin a comment in it; the last two end a line of a script.
_ESCAPES: Final = str.maketrans(
    {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
)
_FORBIDDEN: Final = {SCRIPT: ("</script", "<!--"), STYLE: ("</style",)}


def text(data: Mapping[str, Any], *, title: str, summary: str) -> str:
    """The file: nothing in it is asked for over a network, and no script but its own can run.

    Args:
        data: of the report.
        title: of the document.
        summary: what is shown where scripts do not run.

    Raises:
        UsageError: this installation lacks the built files.
    """
    script, style = _built(SCRIPT), _built(STYLE)
    policy = "; ".join(
        [
            "default-src 'none'",
            f"script-src '{_digest(script)}'",
            f"style-src '{_digest(style)}'",
            "img-src data: blob:",
            "base-uri 'none'",
            "form-action 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        ]
    )
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{html.escape(policy)}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            '<meta name="referrer" content="no-referrer">',
            f"<title>{html.escape(one_line(title))}</title>",
            f"<style>{style}</style>",
            "</head>",
            "<body>",
            '<div id="page"></div>',
            f"<noscript><h1>{html.escape(one_line(title))}</h1><pre>{html.escape(summary)}</pre></noscript>",
            f'<script type="application/json" id="data">{_json(data)}</script>',
            f"<script>{script}</script>",
            "</body>",
            "</html>",
            "",
        ]
    )


def _json(data: Mapping[str, Any]) -> str:
    return json.dumps(data, allow_nan=False, separators=(",", ":")).translate(_ESCAPES)


def _built(name: str) -> str:
    """A built file, in the form that an element can contain."""
    path = page.STATIC / "report" / name
    try:
        content = files.read_bytes(path, limit=LARGEST).decode()
    except FileNotFoundError:
        raise UsageError(
            f"the page is not built: {path} is missing", hint="in a clone: cd web && npm ci && npm run build"
        ) from None
    if any(part in content.lower() for part in _FORBIDDEN[name]):
        raise UsageError(f"{path} cannot be part of a report: it contains the end of its own element")
    return content


def _digest(content: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"
