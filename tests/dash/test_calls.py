"""Each row of the tables of ML-Dash's calls on the migration page does what it states."""

from __future__ import annotations

import asyncio
import importlib
import json
import re
import warnings
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pytest

import nemorun_cli.dash as ml_dash
from nemorun_cli import errors
from nemorun_cli.dash.run import FIELDS, RUN
from nemorun_cli.tracking import record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PAGE: Final = Path(__file__).parents[2] / "docs" / "coming-from" / "ml-dash-calls.md"


class Call(NamedTuple):
    """How a row is tested: what runs before it, the error it raises, and what holds afterwards."""

    check: str = ""  # `result` is the value of the call
    before: str = ""
    raises: type[BaseException] | None = None
    match: str | None = None
    needs: str = ""  # a library without which the call is refused


A = "alice/project/a"
ON_DISK = f"assert stored('{A}').status =="
TRAIN = 'experiment.metrics("train").log(loss=0.5, epoch=1)'
LAST = 'experiment.metrics("train").last("loss")'
LINE = "experiment.logs.read()[-1]"
SAVED = 'file = experiment.files("models", tags=["best"]).save_text("weights", to="best.txt")'
POSES = 'experiment.tracks("robot/position").append(q=[2], _ts=5.0).append(q=[1], _ts=1.0)'

CALLS: Final[dict[str, dict[str, Call]]] = {
    "Experiment": {
        'Experiment(prefix="alice/project/name", dash_root=".dash")': Call(
            'assert result.prefix == "alice/project/name"; assert result.dash_root == ROOT'
        ),
        'Experiment("alice/project/name")': Call('assert result.prefix == "alice/project/name"'),
        'Experiment(prefix="alice/project/name", readme="text", tags=["a"], bindrs=["b"],'
        ' metadata={"k": 1})': Call("assert opened(result) == ('text', ['a'], ['b'], {'k': 1})"),
        'Experiment(prefix="alice/project/name", description="text")': Call(
            "assert opened(result) == ('text', [], [], None); assert result.readme == 'text'"
        ),
        'Experiment(prefix="alice/project/name", descripton="text")': Call(
            raises=TypeError, match="'description'"
        ),
        'Experiment(project="my-project", prefix="my-experiment")': Call(
            'assert (result.prefix, result.project, result.owner) == ("my-experiment", "my-project", None)'
        ),
        'Experiment(prefix="/alice/project/name/")': Call('assert result.prefix == "alice/project/name"'),
        'Experiment(prefix="../outside/name")': Call(
            raises=errors.UsageError, match="could leave the folder"
        ),
        'Experiment(name="my-experiment", project="my-project")': Call(raises=TypeError, match="'prefix'"),
        'Experiment(prefix="alice/project/name", local_path=".dash")': Call(
            'assert result.dash_root == ROOT; assert "dash_root" in deprecated()'
        ),
        'Experiment(prefix="alice/project/name", dash_url="https://api.dash.ml")': Call(
            'assert (result.dash_url, result.mode) == ("https://api.dash.ml", ml_dash.OperationMode.HYBRID)'
        ),
        'Experiment(prefix="alice/project/name", dash_url="https://api.dash.ml", dash_root=None)': Call(
            "assert result.mode == ml_dash.OperationMode.REMOTE"
        ),
        'Experiment(prefix="alice/project/name", dash_url=True)': Call(
            raises=errors.UsageError, match="no server is known"
        ),
        'Experiment(prefix="alice/project/name", remote="https://api.dash.ml")': Call(
            'assert "dash_url" in deprecated(); assert result.dash_url == "https://api.dash.ml"'
        ),
        'Experiment(prefix="alice/project/name", job_lifecycle=None, managed=None)': Call(
            raises=TypeError, match="own service"
        ),
        'Experiment(prefix="alice/project/name", _write_protected=True)': Call(
            raises=TypeError, match="_write_protected"
        ),
        "(experiment.owner, experiment.project, experiment.name)": Call(
            'assert result == ("alice", "project", "open")'
        ),
        "(experiment.readme, experiment.tags, experiment.metadata)": Call(
            'assert result == ("about", ["a"], {"k": 1})'
        ),
        "experiment.id": Call("assert result == experiment.openings()[-1].id"),
        "(experiment.data, experiment.mode)": Call("assert result == (None, ml_dash.OperationMode.LOCAL)"),
        'experiment.bindrs("v1").list()': Call(
            'assert [file["filename"] for file in result] == ["a"]; assert experiment.bindrs == ["b"]',
            before='files = experiment.files("m", bindrs=["v1"]); files.save_text("x", to="a")'
            '; experiment.files.save_text("x", to="b")',
        ),
        "experiment.flush()": Call("assert result is experiment"),
        'Experiment(prefix="alice/project/name").params.set(lr=0.1)': Call(
            raises=RuntimeError, match="not open"
        ),
    },
    "Status": {
        f'with Experiment(prefix="{A}").run as e: e.log("x")': Call(f"{ON_DISK} 'COMPLETED'"),
        f'with Experiment(prefix="{A}").run as e: raise ValueError("x")': Call(
            f"{ON_DISK} 'FAILED'; assert 'ValueError: x' in stored('{A}').openings[-1].message",
            raises=ValueError,
        ),
        f'with Experiment(prefix="{A}").run as e: raise KeyboardInterrupt': Call(
            f"{ON_DISK} 'CANCELLED'", raises=KeyboardInterrupt
        ),
        f'with Experiment(prefix="{A}").run as e: raise SystemExit(0)': Call(
            f"{ON_DISK} 'COMPLETED'", raises=SystemExit
        ),
        f'e = Experiment(prefix="{A}").run.start()': Call(f"{ON_DISK} 'RUNNING'; e.run.complete()"),
        "experiment.run.complete()": Call('assert experiment.status == "COMPLETED"'),
        "experiment.run.fail()": Call('assert experiment.status == "FAILED"'),
        "experiment.run.cancel()": Call('assert experiment.status == "CANCELLED"'),
        "experiment.run.start()": Call(raises=errors.StateError, match="already running"),
        f'Experiment(prefix="{A}").run.complete()': Call(raises=errors.StateError, match="not running"),
        "experiment.run.complete(); experiment.run.start()": Call(
            'assert [opening.status for opening in experiment.openings()] == ["COMPLETED", "RUNNING"]'
        ),
    },
    "Params": {
        'experiment.params.set(lr=0.1, model={"depth": 50})': Call(
            'assert experiment.params.get() == {"lr": 0.1, "model.depth": 50}'
        ),
        "experiment.params.log(lr=0.1)": Call('assert experiment.params.get() == {"lr": 0.1}'),
        'experiment.params.set(**{"model.depth": 50})': Call(
            'assert experiment.params.get(flatten=False) == {"model": {"depth": 50}}'
        ),
        "experiment.params.log(Args=Args)": Call(
            'assert experiment.params.get() == {"Args.lr": 0.1, "Args.seed": 1}'
        ),
        "experiment.params.get()": Call(
            'assert result == {"model.depth": 50}', before='experiment.params.set(model={"depth": 50})'
        ),
        "experiment.params.get(flatten=False)": Call(
            'assert result == {"model": {"depth": 50}}', before='experiment.params.set(model={"depth": 50})'
        ),
        "experiment.params.set(path=object())": Call(
            'assert experiment.params.get() == {"lr": "a"}',
            before='experiment.params.set(lr=Path("a"))',
            raises=TypeError,
        ),
        'experiment.params.set(model=1, **{"model.depth": 50})': Call(
            "assert experiment.params.get() == {}", raises=errors.UsageError
        ),
    },
    "Metrics": {
        TRAIN: Call(f"assert {LAST} == 0.5; assert result is experiment.metrics('train')"),
        'experiment.metrics("train/loss").log(value=0.5)': Call(
            'assert experiment.metrics.names() == ["train/loss"]'
        ),
        "experiment.metrics.log(epoch=1, train=dict(loss=0.5), eval=dict(loss=0.6))": Call(
            'assert experiment.metrics("eval").last("epoch") == experiment.metrics().last("epoch") == 1'
        ),
        "experiment.metrics.log(epoch=1).flush()": Call('assert experiment.metrics().last("epoch") == 1'),
        "experiment.metrics.log(epoch=1, _flush=True)": Call(
            'assert set(experiment.metrics().last()) == {"epoch", "_ts"}'
        ),
        'experiment.metrics.log({"loss": 0.5})': Call('assert experiment.metrics().last("loss") == 0.5'),
        'experiment.metrics("train").log(loss=0.5, _ts=-1)': Call(
            'assert experiment.metrics("train").last("_ts") == 7.0',
            before='experiment.tracks("t").append(x=1, _ts=7.0)',
        ),
        'experiment.metrics("train").log(loss=float("nan"))': Call(
            f"assert {LAST} != {LAST}; assert 'NaN' not in valid_json('metrics/train')"
        ),
        'experiment.metrics("train").log(loss=object())': Call(f"assert {LAST} is None", raises=TypeError),
        'experiment.metrics("train", description="d", tags=["t"], metadata={"unit": "nats"})': Call(
            'assert result.about() == {"description": "d", "tags": ["t"], "metadata": {"unit": "nats"}}'
        ),
        'experiment.metrics("train").read(start_index=0, limit=10)': Call(
            'assert result[0]["loss"] == result["data"][0]["data"]["loss"] == 0.5'
            '; assert [result[key] for key in ("startIndex", "endIndex", "hasMore")] == [0, 0, False]'
            '; assert result.get("total") == 1',
            before=TRAIN,
        ),
        'experiment.metrics("train").stats()': Call(
            'assert result["loss"]["mean"] == 0.5; assert result["totalDataPoints"] == 1'
            '; assert result.get("chunkSize") == 10_000; assert result["name"] == "train"'
            '; assert "totalDataPoints" not in result; assert result.get("absent") is None',
            before=TRAIN,
        ),
        'experiment.metrics("train").list_all()': Call(
            'assert [(m["name"], m["totalDataPoints"], m["tags"]) for m in result] == [("train", 1, [])]',
            before=TRAIN,
        ),
        'experiment.metrics("train").buffer(loss=0.5)': Call(
            'experiment.run.complete(); assert experiment.metrics("train").last("loss.mean") == 0.5'
        ),
        "experiment.metrics.buffer.log_summary()": Call(
            'assert experiment.metrics("train").last("loss.mean") == 0.5',
            before='experiment.metrics("train").buffer(loss=0.5)',
        ),
        'experiment.metrics.buffer.log_summary("mean", "std", "min", "max", "count", "median", "sum", "p50",'
        ' "p90", "p95", "p99", "first", "last")': Call(
            'assert len(experiment.metrics("train").last()) == 14',
            before='experiment.metrics("train").buffer(loss=0.5)',
        ),
        'experiment.metrics.buffer.peek("train", "loss", limit=5)': Call(
            'assert result == {"loss": [0.5]}', before='experiment.metrics("train").buffer(loss=0.5)'
        ),
        'experiment.metrics("train").summary_cache.store(loss=0.5)': Call(
            'experiment.run.complete(); assert experiment.metrics("train").last("loss.std") == 0'
        ),
        'experiment.metrics("train").summary_cache.set(epoch=1)': Call(
            'experiment.metrics("train").summary_cache.summarize()'
            '; assert experiment.metrics("train").last("epoch") == 1'
        ),
        'experiment.metrics("train").summary_cache.summarize(clear=True)': Call(
            'assert experiment.metrics("train").last("loss.count") == 1',
            before='experiment.metrics("train").summary_cache.store(loss=0.5)',
        ),
        'experiment.metrics("train").summary_cache.peek("loss", limit=None)': Call(
            'assert result == {"loss": list(range(9))}',
            before='[experiment.metrics("train").summary_cache.store(loss=n) for n in range(9)]',
        ),
        'experiment.metrics("train").append(value=0.5)': Call(raises=AttributeError, match="append"),
    },
    "Logs": {
        'experiment.log("Epoch done", level="info", metadata={"epoch": 1}, loss=0.5)': Call(
            f'assert {LINE}["metadata"] == {{"epoch": 1, "loss": 0.5}}; assert result is None'
            '; assert printed() == ("[INFO] Epoch done [epoch=1, loss=0.5]\\n", "")'
        ),
        'experiment.logs.info("Training started", epoch=1)': Call(f'assert {LINE}["level"] == "info"'),
        'experiment.logs.warn("High loss", loss=1.5)': Call(f'assert {LINE}["level"] == "warn"'),
        'experiment.logs.error("Failed", code=500)': Call(
            'assert printed() == ("", "[ERROR] Failed [code=500]\\n")'
        ),
        'experiment.logs.debug("Memory", mb=2500)': Call(f'assert {LINE}["level"] == "debug"'),
        'experiment.logs.fatal("Out of memory")': Call(
            'assert printed() == ("", "[FATAL] Out of memory\\n")'
        ),
        'experiment.log(metadata={"epoch": 1}).info("Training started")': Call(
            f'assert {LINE}["metadata"] == {{"epoch": 1}}; assert "logs.info" in deprecated()'
        ),
        'experiment.log("x", level=LogLevel.WARN)': Call(f'assert {LINE}["level"] == "warn"'),
        'experiment.log("x", level="warning")': Call(f'assert {LINE}["level"] == "warn"'),
        'experiment.log("x", level="loud")': Call(raises=errors.UsageError, match="there are: debug"),
        'experiment.log({"loss": 0.5})': Call(
            raises=TypeError, match=r"experiment\.metrics\.log\(loss=0\.1\)"
        ),
    },
    "Files": {
        'experiment.files("models").upload("model.pt", to="best.pt")': Call(
            'assert (result["path"], result["filename"], result["sizeBytes"]) == ("/models", "best.pt", 7)'
            '; assert Path("model.pt").read_text() == "weights"'
        ),
        'experiment.files("models").save("model.pt", description="d", tags=["best"],'
        ' metadata={"epoch": 1})': Call(
            'assert (result["description"], result["tags"]) == ("d", ["best"])'
            '; assert result["metadata"] == {"epoch": 1}'
        ),
        'experiment.files("configs").save({"lr": 0.1}, to="config.json")': Call(
            'assert json.loads(experiment.files("configs/config.json").read_text()) == {"lr": 0.1}'
        ),
        'experiment.files("data").save(b"bytes", to="data.bin")': Call(
            'assert experiment.files("data/data.bin").read_bytes() == b"bytes"'
        ),
        'experiment.files(file_path="model.pt", prefix="/models").save()': Call(
            'assert experiment.files("models/model.pt").read_text() == "weights"'
        ),
        'experiment.files(path="models").list()': Call(
            'assert result[0]["filename"] == "best.txt"', before=SAVED
        ),
        'experiment.files.save_json(dict(hey="yo"), to="configs/config.json")': Call(
            'assert result["path"] == "/configs"'
        ),
        'experiment.files.save_text("content", to="view.yaml")': Call(
            'assert experiment.files("view.yaml").read_text() == "content"'
        ),
        'experiment.files.save_blob(b"xxx", to="data.bin")': Call('assert result["sizeBytes"] == 3'),
        'experiment.files("data").save_pkl([1, 2], to="sub/data.pkl")': Call(
            'assert result["path"] == "/data/sub"'
        ),
        'experiment.files("models").save_torch(model, to="model.pt")': Call(
            'assert result["sizeBytes"] > 0', needs="torch"
        ),
        'experiment.files("plots").save_fig(to="plot.png", dpi=150)': Call(
            'assert result["sizeBytes"] > 0', needs="matplotlib"
        ),
        'experiment.files("frames").save_image(pixels, to="frame.png", quality=95)': Call(
            'assert result["sizeBytes"] > 0', needs="PIL"
        ),
        'experiment.files("videos").save_video(frames, to="a.mp4", fps=20)': Call(
            raises=AttributeError, match="save_video"
        ),
        'experiment.files("models").list("*.pt")': Call(
            'assert [file["filename"] for file in result] == ["a.pt"]',
            before='experiment.files("models").save_text("x", to="a.pt")'
            '; experiment.files("models2").save_text("x", to="b.pt")',
        ),
        'experiment.files(tags=["best"]).list()': Call(
            'assert [file["filename"] for file in result] == ["best.txt"]',
            before=f'{SAVED}; experiment.files.save_text("x", to="other")',
        ),
        'experiment.files("models/best.pt").exists()': Call("assert result is False", before=SAVED),
        'experiment.files("best.txt").read_text()': Call('assert result == "weights"', before=SAVED),
        'experiment.files("best.txt").download(to="copy.txt")': Call(
            'assert Path("copy.txt").read_text() == "weights"; assert Path(result).name == "copy.txt"',
            before=SAVED,
        ),
        'experiment.files(file_id=file["id"], dest_path="copy.txt").download()': Call(
            'assert Path("copy.txt").read_text() == "weights"',
            before=f'{SAVED}; experiment.files("models").save_text("later", to="best.txt")',
        ),
        'experiment.files.download("models/*.txt", to="local")': Call(
            'assert Path("local/best.txt").read_text() == "weights"', before=SAVED
        ),
        'experiment.files("models/best.txt").delete()': Call(
            'assert result["deletedAt"]; assert experiment.files().list() == []'
            "; assert len(experiment.files().versions()) == 1",
            before=SAVED,
        ),
        'experiment.files.delete("models/*.txt")': Call("assert len(result) == 1", before=SAVED),
        'experiment.files(file_id=file["id"], description="new", tags=["best"]).update()': Call(
            'assert (result["description"], result["sizeBytes"]) == ("new", 7)'
            '; assert experiment.files("models").list() == [result]; assert result["updatedAt"]'
            '; assert experiment.files("models/best.txt").update(tags=[])["tags"] == []',
            before=SAVED,
        ),
        'experiment.files().duplicate(file, to="models/latest.txt")': Call(
            'assert experiment.files("models/latest.txt").read_text() == "weights"', before=SAVED
        ),
        'experiment.files("absent.txt").download()': Call(raises=errors.NotFoundError),
    },
    "Tracks": {
        'experiment.tracks("robot/position").append(q=[0.1, -0.2], _ts=1.0)': Call(
            'experiment.tracks("robot_position").append(x=1)'
            '; assert experiment.tracks("robot/position").read() == [{"timestamp": 1.0, "q": [0.1, -0.2]}]'
        ),
        'experiment.tracks("camera/left").append(width=640, _ts=-1)': Call(
            'assert experiment.tracks("camera/left").read()[0]["timestamp"] == 1.0', before=POSES
        ),
        'experiment.tracks("robot/position").append(x=1).flush()': Call(
            'assert len(experiment.tracks("robot/position").read()) == 1'
        ),
        "experiment.tracks.flush()": Call("assert result is experiment.tracks"),
        'experiment.tracks("robot/position").read(start_timestamp=0.0, end_timestamp=10.0,'
        ' columns=["q"])': Call(
            'assert result["entries"] == [{"timestamp": 1.0, "q": [1]}, {"timestamp": 5.0, "q": [2]}]'
            '; assert result["count"] == 2; assert result.get("entries", []) == result',
            before=POSES,
        ),
        'experiment.tracks("robot/position").read(format="jsonl")': Call(
            "assert result.count(b'\\n') == 2", before=POSES
        ),
        'experiment.tracks("robot/position").read(format="parquet")': Call(
            'raises(lambda: experiment.tracks("robot/position").read(format="mocap"))',
            before=POSES,
            raises=errors.UsageError,
            match="there are: json, jsonl",
        ),
        'experiment.tracks("robot/position").slice(0.0, 10.0).findByTime(5.5)': Call(
            'assert result["q"] == [2]'
            '; raises(lambda: experiment.tracks("robot/position").slice().findByTime(0.5))',
            before=POSES,
        ),
        'experiment.tracks("robot/position").slice(0.0, 10.0).findByTime([1.0, 5.5],'
        " neighborhood_size=10)": Call('assert [entry["q"] for entry in result] == [[1], [2]]', before=POSES),
        'next(iter(experiment.tracks("robot/position").slice()))': Call(
            'assert result["q"] == [1]', before=POSES
        ),
        'experiment.tracks("robot/position").list_entries()': Call("assert len(result) == 2", before=POSES),
        'experiment.tracks("robot/position").append(timestamp=5.0)': Call(raises=TypeError, match="_ts"),
    },
    "Decorator": {
        f'ml_dash_experiment(prefix="{A}", tags=["t"])(train)("x")': Call(
            f"assert result == ('x', '{A}', True); {ON_DISK} 'COMPLETED'; assert stored('{A}').tags == ['t']"
        ),
        f'ml_dash_experiment(prefix="{A}")(without_experiment)()': Call("assert result == 1"),
        f'ml_dash_experiment(prefix="{A}")(train)("x", experiment=experiment)': Call(
            'assert result == ("x", "alice/project/open", True)'
        ),
        f'asyncio.run(ml_dash_experiment(prefix="{A}")(coroutine)())': Call("assert result is True"),
        f'Experiment(prefix="{A}").run(train)("x")': Call(f"assert result == ('x', '{A}', True)"),
    },
    "RUN and dxp": {
        'RUN.prefix = "alice/scratch/name"': Call(
            'assert Experiment().prefix == "alice/scratch/name"; dxp.run.start()'
            '; assert dxp.prefix == "alice/scratch/name"; dxp.run.complete()'
        ),
        'RUN.project = "{user}/vision"': Call(
            'assert Experiment(user="bob").prefix.startswith("bob/vision/2")'
        ),
        'RUN.user = "bob"': Call('assert Experiment().prefix.startswith("bob/scratch/2")'),
        'RUN.entry = "experiments/train.py"': Call('assert "/experiments/train/" in Experiment().prefix'),
        'RUN.job_name += "/seed"': Call('assert Experiment().prefix.endswith("/001/seed")'),
        'RUN(entry="experiments/train.py").prefix': Call('assert "/experiments/train/" in result'),
        "RUN.date": Call('assert result == f"{RUN.now:%Y%m%d}" == RUN.datetime_str[:8]'),
        'RUN.prefx = "a/b"': Call(raises=TypeError, match="'prefix'"),
        'Experiment(prefix="{user}/project/{now:%Y-%m-%d}/{job_counter:03d}")': Call(
            'assert result.prefix == f"{RUN.user}/project/{RUN.now:%Y-%m-%d}/001"'
        ),
        'Experiment(prefix="alice/project/{EXP.date}/{EXP.id}")': Call(
            'assert result.prefix == f"alice/project/{RUN.date}/{result.run.id}"'
            '; assert Experiment("a/{RUN.date}/{date}").prefix[-10:] == f"{RUN.now:%Y-%m-%d}"'
        ),
        'Experiment(prefix="alice/project/{missing}")': Call(
            raises=errors.UsageError, match=r"there is no template \{missing\} \(there are: \{user\}"
        ),
        'Experiment(user="bob", entry="train.py")': Call(
            'assert result.prefix.startswith("bob/scratch/2"); assert "/train/" in result.prefix'
        ),
        "Experiment()": Call(
            'assert result.prefix == "{}/scratch/{:%Y/%m-%d}/{}/{:%H.%M.%S}/001".format('
            "RUN.user, RUN.now, result.run.path_stem, RUN.now)"
        ),
        "experiment.run.prefix": Call(
            'assert result == "alice/project/open"; assert experiment.run.name == "open"'
            '; assert (experiment.run.owner, experiment.run.user) == ("alice", RUN.user)'
        ),
        'experiment.run.prefix = "alice/project/other"': Call(
            "assert issubclass(errors.StateError, RuntimeError); experiment.run.complete()"
            '; experiment.run.prefix = "alice/project/other"; experiment.run.start().params.set(lr=0.1)'
            '; assert stored("alice/project/other").data().params.get() == {"lr": 0.1}',
            raises=errors.StateError,
            match="is open",
        ),
        'with dxp.run: dxp.metrics("train").log(loss=0.5)': Call(
            'assert stored(dxp.prefix).data().metrics("train").last("loss") == 0.5'
            '; assert dxp.status == "COMPLETED"'
        ),
        "from nemorun_cli.dash import rdxp": Call(raises=errors.UsageError, match="no server is known"),
        "from nemorun_cli.dash import RemoteClient, userinfo": Call(
            "raises(lambda: ml_dash.userinfo)",
            raises=errors.UsageError,
            match="a process of its own",
        ),
        "from nemorun_cli.dash import LocalStorage": Call(
            raises=errors.UsageError, match=r"tracking\.record"
        ),
        "from nemorun_cli.dash import MlDashError, ConfigurationError, ExperimentError, StorageError,"
        " NetworkError, AuthenticationError": Call(
            "assert (MlDashError, ConfigurationError) == (errors.ExpError, errors.UsageError)"
            "; assert (ExperimentError, StorageError) == (errors.StateError, errors.NotFoundError)"
            "; assert issubclass(NetworkError, MlDashError) and issubclass(AuthenticationError, MlDashError)"
        ),
    },
}


def rows() -> dict[str, list[str]]:
    """The calls in the first column of each table of the page."""
    tables = (part.partition("\n") for part in PAGE.read_text(encoding="utf-8").split("\n## ")[1:])
    return {title: re.findall(r"^\| `(.+?)` \|", table, re.MULTILINE) for title, _, table in tables}


def test_the_tables_of_the_page_list_the_tested_calls() -> None:
    """Every row is tested, and every tested call is a row."""
    assert rows() == {title: list(calls) for title, calls in CALLS.items()}


class Base:
    """A class with an attribute that another one inherits."""

    seed = 1


class Args(Base):
    """A class of parameters, with what is no parameter."""

    lr = 0.1
    _private = 2

    def method(self) -> None:
        """No parameter."""


def train(word: str, experiment: Any) -> tuple[str, str, bool]:
    """A function that gets the experiment."""
    return word, experiment.prefix, experiment.run.is_open


def without_experiment() -> int:
    """A function that does not."""
    return 1


async def coroutine(experiment: Any) -> bool:
    """A coroutine that is suspended once."""
    await asyncio.sleep(0)
    return bool(experiment.run.is_open)


def stored(prefix: str) -> Any:
    """The record on disk, in the default folder."""
    return record(Path(".dash"), prefix)


def opened(experiment: Any) -> tuple[Any, ...]:
    """What is stored about an experiment once it was opened."""
    with experiment.run:
        pass
    found = stored(experiment.prefix)
    return found.description, found.tags, found.bindrs, found.metadata


def valid_json(folder: str) -> str:
    """The rows of a folder of the open record, without the texts in them; they are valid JSON."""
    (path,) = Path(".dash/alice/project/open/.record", folder).glob("*.jsonl")

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    for line in path.read_text().splitlines():
        json.loads(line, parse_constant=refuse)
    return re.sub(r'"[^"]*"', "", path.read_text())


def raises(act: Any) -> None:
    """The call is refused, as this package refuses calls."""
    with pytest.raises(errors.ExpError):
        act()


@contextmanager
def ready(printed: Callable[[], tuple[str, str]]) -> Iterator[dict[str, Any]]:
    """The names that a row may use, with an open experiment and settings of its own."""
    settings = {name: getattr(RUN, name) for name in FIELDS}
    RUN.job_counter = 0
    dxp = importlib.reload(importlib.import_module("nemorun_cli.dash.auto_start")).dxp
    about = {"readme": "about", "tags": ["a"], "bindrs": ["b"], "metadata": {"k": 1}}
    experiment = ml_dash.Experiment("alice/project/open", **about)
    RUN.job_counter = 1
    experiment.run.start()
    tools = {name: getattr(ml_dash, name) for name in ("Experiment", "ml_dash_experiment", "RUN", "LogLevel")}
    helpers = (Args, train, without_experiment, coroutine, stored, opened, valid_json, raises, Path)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield {
            **tools,
            **{helper.__name__: helper for helper in helpers},
            **{module.__name__.rpartition(".")[2]: module for module in (asyncio, errors, json)},
            "ROOT": str(Path(".dash").resolve()),
            "deprecated": lambda: str(caught.pop().message),
            "dxp": dxp,
            "experiment": experiment,
            "frames": [],
            "ml_dash": ml_dash,
            "model": {"weight": 1},
            "pixels": [[0, 255]],
            "printed": printed,
        }
    assert [str(warning.message) for warning in caught] == []
    if experiment.run.is_open:
        experiment.run.complete()
    for name, value in settings.items():
        setattr(RUN, name, value)


def run(call: str, names: dict[str, Any]) -> None:
    """Run a call; the value of an expression is `result`."""
    try:
        code = compile(call, "<page>", "eval")
    except SyntaxError:
        exec(call, names)  # noqa: S102 - the page is our own
    else:
        names["result"] = eval(code, names)  # noqa: S307 - the same


def is_true(call: str, expected: Call, names: dict[str, Any]) -> None:
    """Run a row, and what holds before and after it."""
    if expected.needs and find_spec(expected.needs) is None:
        expected = Call(raises=errors.UsageError, match="not installed")
    run(expected.before, names)
    if expected.raises is None:
        run(call, names)
    else:
        with pytest.raises(expected.raises, match=expected.match):
            run(call, names)
    run(expected.check, names)


@pytest.mark.parametrize("title", CALLS)
def test_the_rows_of_a_table_are_true(
    title: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each call of ML-Dash does what the page states; each in a folder of its own."""
    for number, (call, expected) in enumerate(CALLS[title].items()):
        folder = tmp_path / str(number)
        folder.mkdir()
        monkeypatch.chdir(folder)
        Path("model.pt").write_text("weights", encoding="utf-8")
        capsys.readouterr()
        try:
            with ready(lambda: tuple(capsys.readouterr())) as names:
                is_true(call, expected, names)
        except BaseException as error:
            error.add_note(f"in the row: {call}")
            raise
