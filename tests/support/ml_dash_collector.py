"""A server that collects records, as the clients of ML-Dash see it and as they are on its disk."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from support import in_process

from nemorun_cli.tracking.access import reader

if TYPE_CHECKING:
    from pathlib import Path

    from support.served import Answered, Served

    from nemorun_cli.tracking.access.reader import Record
    from nemorun_cli.tracking.experiment import Experiment


@dataclass(frozen=True)
class Collector:
    """A server that collects records.

    Attributes:
        server: it.
        root: its folder of records.
        token: of the user alice.
    """

    server: Served
    root: Path
    token: str

    def record(self, prefix: str) -> Record:
        """A record on the disk of the server."""
        record = reader.record(self.root, prefix)
        assert record is not None, prefix
        return record

    def data(self, prefix: str) -> Experiment:
        """What is in it."""
        return self.record(prefix).data()

    def command(self, *argv: str) -> Any:
        """The JSON document of a command on the records of the server."""
        command = [*argv, "--dash-root", str(self.root), "--json"]
        environment = {"NEMORUN_HOME": str(self.root.parent / "home-of-commands")}
        code, output, errors = in_process.run(command, program="exp", folder=self.root, env=environment)
        assert code == 0, errors
        return json.loads(output)

    def ask(self, method: str, path: str, content: Any = None, *, token: str | None = None) -> Answered:
        """The answer to a request; a content is sent as JSON, bytes as they are."""
        body = content if isinstance(content, bytes) or content is None else json.dumps(content)
        return self.server.ask(method, path, token=token or self.token, body=body)

    def open(self, prefix: str) -> tuple[str, str]:
        """Open a record as the clients do; returns the ids of the experiment and of its node."""
        namespace, project, name = prefix.split("/")
        fields = {"type": "EXPERIMENT", "name": name, "parentId": "ROOT", "projectSlug": project}
        opened = self.ask("POST", f"/api/namespaces/{namespace}/nodes", fields)
        assert opened.status == 201, opened.body
        return opened.json["experiment"]["id"], opened.json["node"]["id"]

    def query(self, text: str, **variables: Any) -> Any:
        """The answer to a query."""
        return self.ask("POST", "/graphql", {"query": text, "variables": variables}).json
