"""Files of tasks, and what another machine has not delivered yet."""

from __future__ import annotations

import os
import re
import shutil
import time
from typing import TYPE_CHECKING, Any, Final

import pytest
from page.links import follow
from playwright.sync_api import expect
from support.local_records import LocalRecords
from support.served import Served, served

from nemorun_cli import Experiment
from nemorun_cli.replication import experiment_files
from nemorun_cli.replication.client import Client, experiment_address, file_address
from nemorun_cli.replication.experiment_files import SentParts
from nemorun_cli.replication.shapes import FileKind
from nemorun_cli.tracking.outbox import markers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Page

ODD: Final = "what? 100%#1 a+b&c=d.txt"
SAVED: Final = ODD.replace("?", "_")  # a browser saves no "?"
PREFIX: Final = "alice/late/one"
SILENCE: Final = 200.0  # seconds


def experiment(home: Path) -> Path:
    """The folder of the run of `small`."""
    return next((home / "experiments" / "small").iterdir())


@pytest.fixture(scope="module")
def place(server: Served) -> str:
    """`OWNER/HOME/ID` of that run."""
    listed = server.ask("GET", "/v1/views/experiments?name=small", token=server.add_token()).json
    found = listed["experiments"][0]
    return f"{found['owner']}/{found['home']}/{found['id']}"


def test_the_files_of_an_experiment_are_below_its_tasks(
    server: Served, visit: Callable[..., Page], home: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tab lists them, shows and downloads one with an odd name, says what is gone, and gets a new one."""
    kept = experiment(home)
    prefix = f"{place.partition('/')[0]}/small/{kept.name}/train/seed=1"
    for name, value in {"EXP_ID": kept.name, "EXP_TASK": "train/seed=1", "EXP_ATTEMPT": "1"}.items():
        monkeypatch.setenv(name, value)
    with Experiment(prefix=prefix, dash_root=str(home / "dash"), print_logs=False).run as record:
        record.files("out").save_text("odd content", to=ODD)
        gone = record.files("out").save_text("nowhere", to="gone.txt")
        page = visit(server, f"/experiments/{place}?tab=files", accept_downloads=True)
        page.get_by_role("heading", name=kept.name).wait_for()
        page.get_by_role("link", name=ODD).click()
        page.get_by_role("region", name="text").get_by_text("odd content").wait_for()
        with page.expect_download() as started:
            page.get_by_role("button", name=re.compile("^Download")).click()
        saved = started.value
        assert (saved.suggested_filename, saved.path().read_text()) == (SAVED, "odd content")
        next((home / "dash" / prefix / ".record" / "blobs").rglob(gone["checksum"])).unlink()
        record.files("out").save_text("while it runs", to="later.txt")
        page.get_by_role("link", name="later.txt").click()
        page.get_by_role("region", name="text").get_by_text("while it runs").wait_for()
        page.get_by_role("link", name="gone.txt").click()
        page.get_by_text("Not here yet, 7 B to go.").wait_for()
        assert page.get_by_role("button", name=re.compile("^Download")).is_disabled()


@pytest.fixture(scope="module")
def collector(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server to which a machine has sent the beginning of an experiment."""
    folder = tmp_path_factory.mktemp("collector")
    kept = experiment(home)
    begun = folder / "root/.experiments/alice/gpu1-00000000/experiments" / kept.parent.name / kept.name
    begun.mkdir(parents=True)
    (begun / "ledger.jsonl").touch()
    with served(folder) as running:
        running.token = running.add_token("alice")
        yield running


def test_what_arrives_is_shown_when_it_arrives(
    collector: Served,
    visit: Callable[..., Page],
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Words say what is missing: a content, a report, a spec, a log; what comes replaces them by itself."""
    root, there = tmp_path / "dash", collector.own.parent / PREFIX / ".record"
    monkeypatch.setenv("EXP_TOKEN", collector.token)
    with Experiment(prefix=PREFIX, dash_root=str(root), print_logs=False).run as record:
        record.files.save_text("it has arrived", to="late.txt")
        shutil.copytree(root / PREFIX / ".record", there, ignore=shutil.ignore_patterns("blobs"))
        for path in there.rglob("*.jsonl"):
            os.utime(path, (time.time() - SILENCE,) * 2)
        page = visit(collector, f"/records/{PREFIX}?tab=files&file=late.txt", permits=["404", "409"])
        page.get_by_text(re.compile(r"last heard of 3m\d\d ago")).wait_for()
        page.get_by_text("RUNNING").wait_for()
        page.get_by_text("Not here yet, 14 B to go.").wait_for()
        outbox = markers.of_records(str(root), collector.url)
        markers.prepare(outbox)
        local = LocalRecords(root, outbox, collector.own.parent, PREFIX)
        local.mark(record)
        monkeypatch.setenv("EXP_DASH_URL", collector.url)
        sender = local.sender()
        assert sender.turn()
        page.get_by_role("region", name="text").get_by_text("it has arrived").wait_for()
        expect(page.get_by_text("not here yet")).to_have_count(0)
    kept = experiment(home)
    own = ("alice", "gpu1-00000000", kept.name)
    follow(page, f"/experiments/{'/'.join(own)}?task=broken")
    page.get_by_text("the spec and the ledger").wait_for()
    _send(Client(collector.url, collector.token), own, kept)
    page.get_by_role("region", name="Why broken is FAILED").wait_for()
    page.get_by_text("not shipped").first.wait_for()


def _send(client: Client, own: tuple[str, str, str], folder: Path) -> None:
    """Send an experiment without the logs of its tasks."""
    address = experiment_address(*own)
    for file in experiment_files.files_of(folder, SentParts(url="http://127.0.0.1:9")):
        data: Any = file.content
        if data is None:
            with file.open() as stream:
                data = stream.read()
        path = file_address(address, file.path)
        if file.kind is FileKind.GROWING:
            client.append(path, 0, data)
        else:
            client.put(path, data)
    client.close()
