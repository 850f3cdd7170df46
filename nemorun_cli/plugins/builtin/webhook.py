"""Posts to a webhook: without redirects, with verified certificates, within a time; only 2xx is success.

The address and the headers may be secrets, so no message quotes them.
"""

from __future__ import annotations

import contextlib
import http.client
import threading
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

REASON_SHOWN: Final = 200  # characters of what a server gives as its reason
REDIRECTS: Final = range(300, 400)  # codes of HTTP


class WebhookError(Exception):
    """The webhook did not take the message; a later try may succeed."""


class UnusableAddressError(WebhookError):
    """The address or a header cannot be sent at all."""


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Leaves each redirect an error: the headers and the message are meant for one server."""

    def redirect_request(self, *_: Any) -> None:
        """Follow none."""


def post(address: str, data: bytes, headers: Mapping[str, str], *, timeout: float) -> None:
    """Post the data; returns once the server has answered with a code from 200 to 299.

    Proxies are those of the environment, as urllib reads it: `https_proxy`, `http_proxy`, `no_proxy`.
    Certificates are verified, by the authorities of the system or of `SSL_CERT_FILE`.

    Args:
        address: of http or https.
        data: the body.
        headers: of the request.
        timeout: the seconds for all of it: looking up the name, sending, and the answer's headers.

    Raises:
        UnusableAddressError: no try can succeed.
        WebhookError: the server cannot be reached, answers with another code, or does not answer in time.
    """
    outcome: list[WebhookError | None] = []
    # In a thread: the look-up of a name, and a server that sends a byte now and then, know no timeout.
    thread = threading.Thread(
        target=lambda: outcome.append(_tried(address, data, headers, timeout)), daemon=True, name="webhook"
    )
    thread.start()
    thread.join(timeout)
    if not outcome:
        raise WebhookError(f"the webhook did not answer within {timeout:g} s")
    if outcome[0] is not None:
        raise outcome[0]


def _tried(address: str, data: bytes, headers: Mapping[str, str], timeout: float) -> WebhookError | None:
    """Post once; return the error, or None."""
    try:
        request = urllib.request.Request(address, data=data, headers=dict(headers))  # noqa: S310 - checked
        with urllib.request.build_opener(_NoRedirects).open(request, timeout=timeout):
            return None
    except urllib.error.HTTPError as error:
        with contextlib.suppress(OSError):
            error.close()
        return WebhookError(f"the webhook answered {_described(error)}")
    except Exception as error:  # noqa: BLE001 - whatever it is, the thread has nobody else to report it
        return _explained(error)


def _explained(error: Exception) -> WebhookError:
    """The error without what it quotes of the address, the headers or the answer."""
    kind = type(error).__name__
    if isinstance(error, http.client.InvalidURL):
        return UnusableAddressError(
            "the webhook's address is invalid: it has a space, or a port that is no number"
        )
    if isinstance(error, ValueError):  # a UnicodeError, or of a line break
        text = f"the webhook's address or a header has characters that HTTP does not take ({kind})"
        return UnusableAddressError(text)
    if isinstance(error, urllib.error.URLError):
        return WebhookError(f"the webhook cannot be reached: {error.reason}")
    reason = (error.strerror if isinstance(error, OSError) else None) or kind
    return WebhookError(f"the webhook gave no answer that HTTP knows: {reason}")


def _described(error: urllib.error.HTTPError) -> str:
    """The code and the reason of an answer that is not success."""
    text = f"{error.code} {error.reason}"[:REASON_SHOWN].strip()
    return f"{text}: a redirect, which is not followed" if error.code in REDIRECTS else text
