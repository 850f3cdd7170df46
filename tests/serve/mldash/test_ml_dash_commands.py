"""The command `ml-dash` of 0.6.27 on this server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

from support.ml_dash_clients import client

if TYPE_CHECKING:
    from support.ml_dash_collector import Collector

PROGRAMS: Final = Path(__file__).parent / "programs"


def test_all_commands_of_ml_dash_work(collector: Collector, tmp_path: Path) -> None:
    """profile, create, upload, list, download of a track, and remove; uploads are as in the folder."""
    token = collector.server.add_token("dora")
    made = client("0.6", tmp_path / "home")
    made.use_token(token)
    made.run(PROGRAMS / "local_run.py", str(tmp_path / "dash"), "dora/proj/run")
    (tmp_path / "pose.jsonl").write_text('{"timestamp": 1.5, "q": [1, 2]}\n{"timestamp": 2.5, "q": [3, 4]}\n')
    url = ("--dash-url", collector.server.url)
    commands = [
        ["profile", "--json", *url],
        ["create", "-p", "dora/new", "-d", "text", *url],
        ["create", "-p", "dora/new", *url],
        ["upload", str(tmp_path / "dash"), *url],
        ["list", *url],
        ["list", "-p", "proj", "--detailed", *url],
        [
            "upload",
            "--tracks",
            str(tmp_path / "pose.jsonl"),
            "--remote-path",
            "dora/proj/run/arm/pose",
            *url,
        ],
        ["download", "--tracks", "dora/proj/run/arm/pose", "-f", "jsonl", "-o", "out.jsonl", *url],
        ["remove", "-p", "dora/new", "-y", *url],
    ]
    output = made.run(PROGRAMS / "commands.py", json.dumps(commands))
    codes = [line for line in output.splitlines() if line.startswith("== ")]
    assert codes == [f"== {argv[0]}: 0" for argv in commands], output
    assert '"username": "dora"' in output
    assert "Project created successfully" in output
    assert "already exists" in output
    assert "dora/proj/run" in output
    data = collector.data("dora/proj/run")
    assert data.params.get()["model.depth"] == 3
    assert len(data.logs.read()) == 5
    assert len(data.metrics().read()) == 300
    assert data.files("models/t.txt").read_text() == "text"
    assert [entry["q"] for entry in data.tracks("arm/pose").list_entries()] == [[1, 2], [3, 4]]
    rows = [json.loads(line) for line in (made.home / "out.jsonl").read_text().splitlines()]
    assert rows == [{"timestamp": 1.5, "q": [1, 2]}, {"timestamp": 2.5, "q": [3, 4]}]
    assert not (collector.root / "dora/new").exists()
