from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
import trustme
from support.extent import amount
from support.local_records import LocalRecords
from support.patience import eventually
from support.served import Served, served
from support.two_machines import Machine, machines

from nemorun_cli.tracking.access import reader
from nemorun_cli.tracking.outbox import markers

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM: Final = """
import sys
from nemorun_cli import Experiment
prefix, root, url, rows = sys.argv[1:]
experiment = Experiment(prefix, dash_root=root, dash_url=url, print_logs=False)
with experiment.run:
    train = experiment.metrics("train")
    print(experiment.run.opening, train.last("epoch"), flush=True)
    sys.stdin.readline()
    begin = int(train.last("epoch") or 0) + 1
    for epoch in range(begin, begin + int(rows)):
        train.log(epoch=epoch)
    print("logged", flush=True)
    sys.stdin.readline()
"""


class Site:
    """A server on this machine, and two others, with a folder of records on each."""

    def __init__(self, folder: Path, server: Served, others: list[Machine], certificate: Path) -> None:
        self.folder, self.server = folder, server
        self.others = others
        self.url = f"https://{others[0].near}:{server.port}"
        self._environment = {
            **os.environ,
            "EXP_CA_FILE": str(certificate),
            "EXP_TOKEN": server.add_token("alice"),
            "EXP_DASH_URL": self.url,
            "EXP_DRAIN": "2",
            "EXP_SENDER_LINGER": "60",
        }

    def environment(self, machine: Machine) -> dict[str, str]:
        """The variables of a program on a machine."""
        return {**self._environment, "NEMORUN_HOME": str(self.folder / f"home-{machine.name}")}

    def records(self, machine: Machine, prefix: str) -> LocalRecords:
        """A record on a machine, and on the server."""
        root = self.folder / f"dash-{machine.name}"
        return LocalRecords(root, markers.of_records(str(root), self.url), self.folder / "root", prefix)

    def train(self, machine: Machine, prefix: str, rows: int = 3) -> Training:
        """Start a training on a machine."""
        root = self.records(machine, prefix).root
        command = [sys.executable, "-c", PROGRAM, prefix, str(root), self.url, str(rows)]
        return Training(machine, command, self.environment(machine), self.folder)


class Training:
    """A training on another machine, which waits for this test before it logs, and before it ends."""

    def __init__(
        self, machine: Machine, command: list[str], environment: dict[str, str], folder: Path
    ) -> None:
        self.process = machine.start(command, env=environment, cwd=folder)
        assert self.process.stdout is not None
        line = self.process.stdout.readline().split()
        assert line, self.process.communicate()[1]
        self.opening, self.last = line

    def log(self) -> None:
        """Let it log its rows."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "logged\n"

    def end(self) -> None:
        """Let it end."""
        _, error = self.process.communicate("\n", timeout=60)
        assert (self.process.returncode, error) == (0, "")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Two machines and a server with TLS."""
    folder = tmp_path_factory.mktemp("site")
    with machines(folder, "anna", "berta") as others:
        authority = trustme.CA()
        issued = authority.issue_cert(others[0].near)
        files = {name: folder / name for name in ("cert", "key", "ca")}
        issued.cert_chain_pems[0].write_to_path(files["cert"])
        issued.private_key_pem.write_to_path(files["key"])
        authority.cert_pem.write_to_path(files["ca"])
        options = ("--host", others[0].near, "--tls-cert", str(files["cert"]), "--tls-key", str(files["key"]))
        with served(folder, *options) as server:
            yield Site(folder, server, others, files["ca"])
            for machine in others:
                machine.end()


def test_two_machines_write_one_record_one_after_the_other(site: Site) -> None:
    """The second machine pulls what the first has sent: its opening is the next generation, and continues."""
    anna, berta = site.others
    prefix = "alice/two/after"
    first = site.train(anna, prefix)
    assert (first.opening[:5], first.last) == ("0001-", "None")
    first.log()
    first.end()
    second = site.train(berta, prefix)
    assert (second.opening[:5], second.last) == ("0002-", "3")
    second.log()
    second.end()
    eventually(lambda: site.records(berta, prefix).pending == [])
    assert site.records(berta, prefix).differences() == []
    record = reader.record(site.folder / "root", prefix)
    assert record is not None
    assert [row["epoch"] for row in record.data().metrics("train").read()] == [1, 2, 3, 4, 5, 6]
    assert {opening.facts["host"] for opening in record.openings} == {"anna", "berta"}
    assert len({opening.facts["boot"] for opening in record.openings}) == 2


def test_two_machines_write_one_record_at_once(site: Site) -> None:
    """Openings of two machines at the same time are one generation, and the server has the rows of both."""
    prefix = "alice/two/at-once"
    trainings = [site.train(machine, prefix) for machine in site.others]
    assert [each.opening[:5] for each in trainings] == ["0001-", "0001-"] or trainings[1].opening[
        :5
    ] == "0002-"
    for training in trainings:
        training.log()
    for training in trainings:
        training.end()
    for machine in site.others:
        eventually(lambda machine=machine: site.records(machine, prefix).pending == [])  # type: ignore[misc] # bound now
    record = reader.record(site.folder / "root", prefix)
    assert record is not None
    assert len(record.openings) == 2
    rows = record.data().metrics("train")
    assert sum(len(list(rows.read(openings=[opening.id]))) for opening in record.openings) == 6


def test_a_machine_without_a_network_delivers_later(site: Site) -> None:
    """A cable that is pulled in mid-run does not stop the program; when it is back, all arrives soon."""
    anna, _ = site.others
    prefix = "alice/two/offline"
    training = site.train(anna, prefix, rows=amount(20_000, long=1_000_000))
    records = site.records(anna, prefix)
    eventually((records.replica / prefix).exists)
    anna.plug(is_in=False)
    try:
        training.log()
        training.process.stdin.write("\n")  # type: ignore[union-attr] # it has a pipe
        training.process.stdin.close()  # type: ignore[union-attr] # the same
        assert training.process.wait(60) == 0
        assert records.pending
    finally:
        anna.plug(is_in=True)
    eventually(lambda: records.pending == [], within=60)
    assert records.differences() == []


def test_a_machine_that_goes_down_is_lost_when_it_is_up(site: Site) -> None:
    """After a power failure `exp sync` delivers the rest, and the training is FAILED, `lost`."""
    _, berta = site.others
    prefix = "alice/two/power"
    training = site.train(berta, prefix)
    training.log()
    records = site.records(berta, prefix)
    berta.restart()
    exp = str(Path(sys.executable).with_name("exp"))
    berta.run([exp, "sync", "--dash-root", str(records.root)], env=site.environment(berta), cwd=site.folder)
    assert records.differences() == []
    record = reader.record(records.replica, prefix)
    assert record is not None
    assert (record.status, record.reason) == ("FAILED", "lost")
    assert len(list(record.data().metrics("train").read())) == 3
