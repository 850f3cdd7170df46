"""A real browser: Debian's Chromium without a window, driven by Playwright."""

from __future__ import annotations

import ctypes
import fcntl
import os
import shutil
import socket
import struct
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, BrowserContext, Page

PROGRAM: Final = "/usr/bin/chromium-headless-shell"
INSTALL: Final = Path(__file__).parents[1] / "engines" / "install.sh"
INSTALL_WAIT: Final = 300.0  # seconds
NEW_NETWORK: Final = 0x40000000  # CLONE_NEWNET, which Python has from 3.12 on
SET_FLAGS, IS_UP = 0x8914, 0x1  # SIOCSIFFLAGS and IFF_UP
PATIENCE: Final = 15_000  # milliseconds for what a page is to show
OPTIONS: Final = (
    "--no-sandbox",  # it refuses to run as root with one
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",  # nothing is looked up elsewhere
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP rebound.example 127.0.0.1",  # a name of another site that leads here
)


def install() -> None:
    """Install the browser if root on a Debian lacks it."""
    if not shutil.which(PROGRAM) and os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run([INSTALL, "browser"], check=True, timeout=INSTALL_WAIT)


def leave_network() -> None:
    """Give this thread, and what it starts, a network of its own with a loopback alone, if that is permitted.

    Chromium ends all requests when an address of its machine changes: other tests make and remove networks.
    """
    if ctypes.CDLL(None, use_errno=True).unshare(NEW_NETWORK) != 0:
        return
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, SET_FLAGS, struct.pack("16sH14x", b"lo", IS_UP))


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One browser for all tests: while Playwright runs, none in this process can run a loop of asyncio."""
    install()
    if not shutil.which(PROGRAM):
        pytest.skip(
            "PAGES ARE NOT TESTED: there is no chromium-headless-shell, which root on a Debian installs"
        )
    from playwright.sync_api import expect, sync_playwright  # noqa: PLC0415 - it takes a third of a second

    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=PROGRAM, args=list(OPTIONS))
        try:
            yield started
        finally:
            started.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """What one user of the browser has: no storage, no cookies."""
    made = browser.new_context()
    made.set_default_timeout(PATIENCE)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    """A page of that user."""
    return context.new_page()
