"""The process that samples and its client: killed at any moment, it continues as if nothing had happened."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from support.extent import amount
from support.patience import PATIENCE
from support.search_studies import copied, exact, rule, value

import nemorun_cli
from nemorun_cli.supervisor.helper_process import MOST_LOSSES
from nemorun_cli.supervisor.sampler_client import MODULE, SamplerClient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nemorun_cli.model.search import SearchRule

ROOT = Path(nemorun_cli.__file__).parents[1]


class Driver:
    """A supervisor in the small: it keeps what a ledger and the records have.

    Args:
        of: the rule.
        disturb: called with the client while a question is open.
    """

    def __init__(self, of: SearchRule, disturb: Callable[[SamplerClient], None] = lambda _: None) -> None:
        self.history: list[dict[str, Any]] = []
        self.reports: list[str] = []
        self._poll, self._disturb = select.poll(), disturb
        self.client = SamplerClient(
            of, replay=lambda: copied(self.history), poll=self._poll, report=self.reports.append
        )

    def add(self, message: dict[str, Any]) -> None:
        """Note a message about what happened, and send it."""
        self.history.append(message)
        self.client.send(message)

    def ask(self, message: dict[str, Any]) -> list[dict[str, Any]]:
        """Send a message that is answered, and wait for the answer."""
        self.client.send(message)
        self._disturb(self.client)
        return self.wait()

    def wait(self) -> list[dict[str, Any]]:
        """Wait for an answer as the loop of a supervisor does."""
        until = time.monotonic() + PATIENCE
        while not (answers := self.client.take()):
            due, now = self.client.due, time.monotonic()
            assert now < until, "no answer"
            self._poll.poll(1000 * max(0.0, min(until, until if due is None else due) - now) + 1)
        return answers


@pytest.fixture
def driver() -> Iterator[Callable[..., Driver]]:
    """Makes drivers, whose processes are ended with the test."""
    drivers: list[Driver] = []

    def make(*args: Any) -> Driver:
        drivers.append(Driver(*args))
        return drivers[-1]

    yield make
    for one in drivers:
        one.client.close()


def kill(client: SamplerClient) -> None:
    """Kill the process of a client with SIGKILL."""
    assert client._process is not None
    os.kill(client._process.pid, signal.SIGKILL)


def params(study: Driver, *, trials: int) -> list[str]:
    """What is suggested in a study with two trials at once, which are judged before their ends."""
    running: list[dict[str, Any]] = []
    for number in range(1, trials + 1):
        (answer,) = study.ask({"ask": number})
        study.add({"suggested": answer["suggestion"]})
        running.append(answer["suggestion"])
        if len(running) == 2 or number == trials:
            ended = running.pop(0)
            found = value(ended["params"])
            values = {"number": ended["number"], "values": [[1, found]]}
            study.history.append({"values": values})
            answers = study.ask({"values": {**values, "last": True}})
            while answers[-1] != {"judged": {"number": ended["number"]}}:
                assert "prune" in answers[-1]
                answers = study.wait()
            result = {"number": ended["number"], "outcome": "complete", "values": [found]}
            study.add({"trial_ended": result})
    return [exact(event["suggested"]["params"]) for event in study.history if "suggested" in event]


def test_a_process_that_is_killed_is_replaced_and_suggests_the_same(driver: Callable[..., Driver]) -> None:
    """It gets the past again, and what was not answered."""
    random, kills = Random(1), amount(1, long=30)  # noqa: S311 - of when it is killed

    def disturb(client: SamplerClient) -> None:
        nonlocal kills
        if kills and random.random() < 0.2:
            kills -= 1
            kill(client)

    of = rule("tpe", pruner="median")
    trials = amount(13, long=80)
    killed = driver(of, disturb)
    assert params(killed, trials=trials) == params(driver(of), trials=trials)
    assert killed.reports == ["the process that samples ended with exit code -9"] * amount(1, long=30)


def test_a_result_between_question_and_answer_makes_the_answer_anew(driver: Callable[..., Driver]) -> None:
    """A suggestion is based on all results that are in the ledger before it."""
    study = driver(rule("random"))
    (first,) = study.ask({"ask": 1})
    study.add({"suggested": first["suggestion"]})
    study.client.send({"ask": 2})
    study.add({"trial_ended": {"number": 1, "outcome": "failed"}})
    (second,) = study.wait()
    assert second["suggestion"]["events"] == 2
    study.add({"suggested": second["suggestion"]})
    (shares,) = study.ask({"importances": True})
    assert "at least two trials" in shares["problem"]["message"]


def test_a_process_that_is_killed_again_and_again_is_a_problem_of_the_question(
    driver: Callable[..., Driver],
) -> None:
    """What is asked is answered with a problem, and the next question starts a process again."""
    study = driver(rule("random"))
    study.client.send({"ask": 1})
    answers: list[dict[str, Any]] = []
    while not answers:
        kill(study.client)
        answers = study.client.take() if study.client._process is None else lost(study.client)
    message = f"the process that samples ended with exit code -9, {MOST_LOSSES + 1} times"
    assert answers == [{"problem": {"number": 1, "message": message}}]


def lost(client: SamplerClient) -> list[dict[str, Any]]:
    """Wait until a client has noticed that its process was killed; returns its answers."""
    process = client._process
    until = time.monotonic() + PATIENCE
    while client._process is process:
        assert time.monotonic() < until
        if answers := client.take():
            return answers
    return []


def program(text: str, *options: str, **variables: str) -> tuple[int, dict[str, Any], str]:
    """The exit code, the last answer and the error output of the process for these lines."""
    done = subprocess.run(
        [sys.executable, "-P", *options, "-m", MODULE],
        input=text,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **variables},
    )
    lines = done.stdout.splitlines()
    return done.returncode, json.loads(lines[-1]) if lines else {}, done.stderr


def refusal(message: str) -> dict[str, Any]:
    """The answer of a process that cannot answer anything."""
    return {"problem": {"number": None, "message": message, "is_final": True}}


def test_without_optuna_there_is_one_message(tmp_path: Path) -> None:
    """The process names what is missing and how to install it; nothing else is printed."""
    first = json.dumps({"search": rule("tpe").to_json()}) + "\n"
    install = "pip install 'nemorun-cli[search]'"
    missing = program(first, "-S", PYTHONPATH=str(ROOT))  # without site-packages
    assert missing == (2, refusal(f"a search needs Optuna, which is not installed: {install}"), "")
    (tmp_path / "optuna-3.6.1.dist-info").mkdir()
    (tmp_path / "optuna-3.6.1.dist-info" / "METADATA").write_text("Name: optuna\nVersion: 3.6.1\n")
    old = program(first, PYTHONPATH=str(tmp_path))
    assert old == (2, refusal(f"a search needs Optuna 4 or later, not 3.6.1: {install}"), "")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["hello"], "a request is no JSON: 'hello': Expecting value: line 1 column 1 (char 0)"),
        (["[1]"], "a request is no object with one key: '[1]'"),
        (['{"ask": 1}'], "the first request is no rule of a search: KeyError('search')"),
    ],
)
def test_a_line_that_is_no_request_ends_the_process(lines: list[str], message: str) -> None:
    """It shows what it got: a supervisor never sends such a line."""
    assert program("\n".join(lines) + "\n") == (2, refusal(message), "")


def test_the_process_ends_with_its_input() -> None:
    """It needs no signal: if its supervisor is killed, it ends."""
    rule_line = json.dumps({"search": rule("random").to_json()})
    code, answer, errors = program(f'{rule_line}\n{{"ask": 1}}\n')
    assert (code, errors, list(answer)) == (0, "", ["suggestion"])
    assert program("") == (0, {}, "")


def test_a_rule_that_optuna_refuses_answers_every_question(driver: Callable[..., Driver]) -> None:
    """The client keeps the reason, and starts no further process."""
    study = driver(rule("tpe", pruner="magic"))
    answer = {"problem": {"number": 1, "message": "no pruner is called 'magic'"}}
    assert study.ask({"ask": 1}) == [answer]
    assert study.client.refusal == "no pruner is called 'magic'"
    assert study.ask({"ask": 1}) == [answer]
    assert study.reports == []
