"""`POST /v1/views/curves`: curves of many records in one request."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from support.extent import amount
from support.view_sites import Reader, collector, local, reading, replica, validator

from nemorun_cli import Experiment
from nemorun_cli.serve import curve_documents
from nemorun_cli.serve.curve_documents import CurveMemory
from nemorun_cli.tracking.store.json_values import encode_row

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from support.workspace import Exp

PATH = "/v1/views/curves"
SPEC = """
name: swept
tasks:
  train:
    matrix: {lr: [0.1, 0.2]}
    inline: |
      for step in 1 2 3; do echo "step $step loss 0.$step"; done
    metrics: {train: 'step (?P<step>\\d+) loss (?P<loss>\\S+)'}
"""


def curves(reader: Reader, body: Mapping[str, Any]) -> Any:
    """The document that answers a request, which its schema allows."""
    document = reader.ask("POST", PATH, body=body).json()
    problems = [f"{each.json_path}: {each.message}" for each in validator("curves").iter_errors(document)]
    assert problems == []
    return document


def named(*prefixes: str) -> list[dict[str, str]]:
    return [{"prefix": prefix} for prefix in prefixes]


def test_points_have_times_and_positions_if_there_are_any(tmp_path: Path) -> None:
    """A curve has the time of each point if asked, and where it continues unless it is of one attempt."""
    replica(tmp_path, "alice/a", rows={"m": [{"step": 0, "loss": 1.0}]})
    with reading(collector(tmp_path)) as (alice,):
        for attempts, counts in ((None, [[1, 1]]), (1, [])):
            found = curves(alice, {"records": named("alice/a"), "attempts": attempts})
            (only,) = found["records"][0]["curves"]
            assert list(only["position"].values()) == counts
            assert "times" not in only
        many = [{"step": step, "loss": 1.0} for step in range(10)]
        replica(tmp_path, "alice/b", rows={"m": many})
        for points, times in ((1000, [1000.0 + step for step in range(10)]), (2, [1004.0, 1009.0])):
            found = curves(alice, {"records": named("alice/b"), "points": points, "times": True})
            assert found["records"][0]["curves"][0]["times"] == times


def test_curves_equal_those_of_each_record(tmp_path: Path) -> None:
    """Each curve has the points that the record's own address answers, in every window and on every axis."""
    for number in range(3):
        rows = [{"step": step, "loss": 1 / (step + 1 + number)} for step in range(50)]
        rows[9 + number]["loss"] = float("nan")
        rows[30]["loss"] = float("inf")
        replica(tmp_path, f"alice/r{number}", rows={"train": rows, "val": rows[::7]})
    with reading(collector(tmp_path)) as (alice,):
        for query in (
            {"points": 1000},
            {"points": 7, "x": "time"},
            {"points": 20, "from": 5.5, "to": 40},
            {"points": 9, "x": "relative", "keys": ["val/loss"]},
        ):
            found = curves(alice, {"records": named("alice/r0", "alice/r1", "alice/r2"), **query})
            assert len(found["records"]) == 3
            for record in found["records"]:
                options = "&".join(
                    f"{'keys' if name == 'keys' else name}={value[0] if name == 'keys' else value}"
                    for name, value in query.items()
                )
                own = alice.json(f"/v1/views/records/{record['prefix']}/.record/curve?{options}")
                assert record["begin"] == own["begin"]
                for curve, single in zip(record["curves"], own["curves"], strict=True):
                    nothing = [0] * len(single["x"])
                    if not curve["sampled"]:
                        assert curve["min"] is curve["max"] is curve["nan"] is None
                        curve |= {"min": curve["last"], "max": curve["last"], "nan": single["nan"]}
                    assert {**curve, "nan": curve["nan"] or nothing, "count": single["count"]} == single


def test_the_records_of_an_experiment(shared: Exp) -> None:
    """An experiment has the records of its tasks, with their params and the keys of their metrics."""
    shared("run", shared.spec(SPEC), "-q")
    with reading(local(shared.home)) as (alice,):
        (experiment,) = alice.json("/v1/views/experiments?name=swept")["experiments"]
        name = f"{experiment['owner']}/{experiment['home']}/{experiment['id']}"
        described = curves(alice, {"experiments": [name], "points": 0})
        assert [each["params"]["lr"] for each in described["records"]] == [0.1, 0.2]
        assert [each["curves"] for each in described["records"]] == [[], []]
        assert "train/loss" in [each["key"] for each in described["keys"]]
        drawn = curves(alice, {"experiments": [name], "keys": ["train/loss"], "describe": False})
        assert [each["curves"][0]["x"] for each in drawn["records"]] == [[1, 2, 3]] * 2
        assert "params" not in drawn["records"][0]
        assert "keys" not in drawn
        own = shared("metrics", experiment["id"], "-k", "train/loss", "--last", "9", "--json").json
        rows = [[row["loss"] for row in series["rows"]] for series in own["series"]]
        assert [each["curves"][0]["last"] for each in drawn["records"]] == rows
        prefix = drawn["records"][1]["prefix"]
        one = curves(alice, {"experiments": [name], "only": [prefix], "points": 5})
        assert [each["prefix"] for each in one["records"]] == [prefix]
        alice.ask("POST", PATH, body={"experiments": ["no/here/none"]}, code=404)


def test_globs_choose_metrics_and_a_name_is_no_glob(tmp_path: Path) -> None:
    """Keys are those of the commands: globs, series, fields; the key of a metric is that metric alone."""
    row = {"step": 1, "a[1]": 1.0, "a1": 2.0, "b": 3.0}
    replica(tmp_path, "alice/r", rows={"train": [row], "val": [row]})
    with reading(collector(tmp_path)) as (alice,):

        def keys(*wanted: str) -> list[str]:
            found = curves(alice, {"records": named("alice/r"), "keys": wanted})
            return [curve["key"] for curve in found["records"][0]["curves"]]

        assert keys("a[1]") == ["train/a[1]", "val/a[1]"]
        assert keys("train/a*") == ["train/a[1]", "train/a1"]
        assert keys("val") == ["val/a[1]", "val/a1", "val/b"]
        assert keys("nothing") == []
        assert len(keys()) == 6


def test_superseded_rows_on_request(tmp_path: Path) -> None:
    """Rows that a later attempt supersedes are in no curve, but in those of `all` and of their attempt."""
    place = {"prefix": "alice/r", "dash_root": str(tmp_path / "dash")}
    for attempt in range(2):
        with Experiment(**place).run as experiment:
            for step in range(3 * attempt, 5):
                experiment.metrics("m").log(step=step, loss=10 * attempt + step)
    with reading(local(tmp_path)) as (alice,):

        def last(attempts: Any) -> list[float]:
            found = curves(alice, {"records": named("alice/r"), "attempts": attempts})
            return [value for record in found["records"] for value in record["curves"][0]["last"]]

        counted = alice.json("/v1/views/records/alice/r/.record/curve")["curves"][0]["last"]
        assert last(None) == counted
        assert sorted(last("all")) == [0, 1, 2, 3, 4, 13, 14]
        assert last(1) == [0, 1, 2, 3, 4]
        assert last(7) == []


def test_what_may_not_be_read_does_not_exist(tmp_path: Path) -> None:
    """A record of somebody else on a private server is answered like one that does not exist."""
    for owner in ("alice", "bob"):
        replica(tmp_path, f"{owner}/r", rows={"m": [{"step": 1, "loss": 2.0}]})
    with reading(collector(tmp_path, is_private=True), "alice", "bob") as (alice, bob):
        found = curves(alice, {"records": named("alice/r", "bob/r", "bob/none")})
        assert [each["prefix"] for each in found["records"]] == ["alice/r"]
        assert [each["key"] for each in found["keys"]] == ["m/loss"]
        bobs, none = found["problems"]
        assert bobs.replace("bob/r", "bob/none") == none
        assert len(curves(bob, {"records": named("bob/r")})["records"]) == 1
        assert curves(alice, {"records": named("bob/r")})["records"] == []


def test_an_answer_is_as_new_as_the_files(tmp_path: Path) -> None:
    """What is remembered of a record holds until its files change; the ETag shows whether an answer did."""
    folder = replica(tmp_path, "alice/r", rows={"m": [{"step": 1, "loss": 2.0}]}, end=None)
    body = {"records": named("alice/r"), "keys": ["m/loss"]}
    with reading(collector(tmp_path)) as (alice,):
        first = alice.ask("POST", PATH, body=body)
        tag = first.headers["etag"]
        assert alice.ask("POST", PATH, body=body, headers={"If-None-Match": tag}, code=304).content == b""
        with next((folder / "metrics/m").iterdir()).open("ab") as stream:
            stream.write(encode_row(2000.0, {"step": 2, "loss": 1.0}))
        again = alice.ask("POST", PATH, body=body, headers={"If-None-Match": tag})
        assert again.json()["records"][0]["curves"][0]["last"] == [2, 1]


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({}, "name experiments or records"),
        ({"records": "alice"}, "records"),
        ({"records": [{"prefix": 3}]}, "prefix"),
        ({"records": [{"prefix": "alice/r", "path": "/etc"}]}, "records"),
        ({"records": named("alice/r"), "keys": [1]}, "keys"),
        ({"records": named("alice/r"), "points": -1}, "points"),
        ({"records": named("alice/r"), "points": True}, "points"),
        ({"records": named("alice/r"), "x": "speed"}, "x"),
        ({"records": named("alice/r"), "x": ["step"]}, "x"),
        ({"records": named("alice/r"), "from": "now"}, "from"),
        ({"records": named("alice/r"), "attempts": 0}, "attempts"),
        ({"records": named("alice/r"), "describe": 1}, "describe"),
        ({"records": named("alice/r"), "speed": 1}, "speed"),
    ],
)
def test_a_wrong_field_is_named(tmp_path: Path, body: dict[str, Any], word: str) -> None:
    """A body that is not understood is 400, and the message names its field."""
    with reading(collector(tmp_path)) as (alice,):
        refused = alice.ask("POST", PATH, body=body, code=400).json()
        assert (refused["code"], word in refused["message"]) == ("usage", True)


def test_one_damaged_record_hides_no_other(tmp_path: Path) -> None:
    """Names that lead elsewhere, and records that cannot be read, are problems of their own."""
    replica(tmp_path, "alice/good", rows={"m": [{"step": 1, "loss": 2.0}]})
    bad = replica(tmp_path, "alice/bad", rows={"m": [{"step": 1, "loss": 2.0}]})
    for path in (bad / "openings").iterdir():
        path.write_text("{")
    with reading(collector(tmp_path)) as (alice,):
        hostile = named("../../etc", "alice/good/../bad", ".server", "alice\0", "a" * 4000)
        found = curves(alice, {"records": [*hostile, *named("alice/bad", "alice/good")]})
        assert [each["prefix"] for each in found["records"]] == ["alice/good"]
        assert len(found["problems"]) >= len(hostile)
        assert str(tmp_path) not in str(found["problems"])


def test_memory_is_bounded() -> None:
    """Of the answers that are remembered, those that were used last are kept."""
    memory = CurveMemory(4000)
    read = curve_documents._Read(((None, "loss"),), (((None, "loss"), "x" * 500),), "{}")
    for number in range(20):
        memory.keep(number, "1", read)
        memory.find(0, "1")
    assert memory.find(0, "1") is read
    assert memory.find(0, "2") is None
    assert memory.find(5, "1") is None
    assert memory.find(19, "1") is read


def test_many_curves_are_quick(tmp_path: Path) -> None:
    """The curves of 100 records that have not changed take 300 ms, however many rows they have."""
    rows = [{"step": row, "loss": row / 7} for row in range(amount(100, long=100_000))]
    records = amount(100, long=100)
    for number in range(records):
        replica(tmp_path, f"alice/r{number}", rows={"m": rows})
    body = {"records": named(*(f"alice/r{number}" for number in range(records))), "points": 250}
    with reading(collector(tmp_path)) as (alice,):
        curves(alice, body)
        taken = []
        for _ in range(5):
            begin = time.perf_counter()
            alice.ask("POST", PATH, body=body)
            taken.append(time.perf_counter() - begin)
        assert min(taken) <= 0.3
