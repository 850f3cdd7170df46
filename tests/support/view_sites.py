"""Sites whose views tests read, through the whole application in the test's own process."""

from __future__ import annotations

import contextlib
import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from jsonschema import Draft202012Validator
from starlette.testclient import TestClient

from nemorun_cli.serve.app import make_app
from nemorun_cli.serve.site import Site
from nemorun_cli.tracking.store.json_values import dump, encode_row

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from httpx2 import Response

SCHEMAS: Final = Path(__file__).parents[2] / "schemas"
TIME: Final = "2026-01-01T00:00:00.000Z"


def collector(root: Path, **options: Any) -> Site:
    """A site that collects replicas in a folder."""
    own = root / ".server"
    own.mkdir(parents=True, exist_ok=True)
    return Site(root=root, home=root / "no-home", dash_roots=(), own=own, **options)


def local(home: Path, **options: Any) -> Site:
    """A site that shows a home as it is."""
    return Site(root=None, home=home, dash_roots=(home / "dash",), own=home / "server", **options)


class Reader:
    """A user of a site who reads its views."""

    def __init__(self, client: TestClient, user: str) -> None:
        self.app: Any = client.app
        self.token = self.app.state.access.tokens.add(user)
        self.client = client

    def get(self, path: str, *, headers: Mapping[str, str] | None = None, code: int | None = 200) -> Response:
        """The answer to a request, with this status unless it is None."""
        return self.ask("GET", path, headers=headers, code=code)

    def ask(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        code: int | None = 200,
        body: Any = None,
    ) -> Response:
        """The answer to a request of any method."""
        sent = {"Authorization": f"Bearer {self.token.secret}", **(headers or {})}
        answer = self.client.request(method, path, headers=sent, json=body)
        assert code is None or answer.status_code == code, f"{path}: {answer.status_code} {answer.text[:500]}"
        return answer

    def json(self, path: str) -> Any:
        """The document at a path, which its schema allows."""
        document = self.get(path).json()
        problems = list(
            validator(document["schema"].partition("/")[0].removeprefix("exp.")).iter_errors(document)
        )
        assert not problems, f"{path}: {problems[0].json_path}: {problems[0].message}"
        return document


@cache
def validator(name: str) -> Draft202012Validator:
    """What checks documents of a format."""
    return Draft202012Validator(json.loads((SCHEMAS / f"{name}.schema.json").read_text(encoding="utf-8")))


@contextlib.contextmanager
def reading(site: Site, *users: str) -> Iterator[list[Reader]]:
    """Users of a site that runs in this process."""
    app = make_app(site, hosts=["testserver"])
    with TestClient(app) as client:
        yield [Reader(client, user) for user in users or ("alice",)]
        if hasattr(app.state, "index"):
            app.state.index.close()


def replica(
    root: Path,
    prefix: str,
    *,
    rows: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
    end: str | None = "COMPLETED",
    opening: str = "0001-x-1",
    **facts: Any,
) -> Path:
    """Write a record as another machine's sender delivers it; returns the folder of its files."""
    folder = root / prefix / ".record"
    (folder / "openings").mkdir(parents=True, exist_ok=True)
    first = {
        "event": "opened",
        "format": "exp.record/1",
        "time": TIME,
        "prefix": prefix,
        "host": "far",
        "pid": 1,
    }
    lines = [{**first, **facts}]
    if end is not None:
        lines.append({"event": "ended", "time": "2026-01-02T00:00:00.000Z", "status": end})
    (folder / "openings" / f"{opening}.jsonl").write_text("".join(f"{dump(line)}\n" for line in lines))
    for name, series in (rows or {}).items():
        path = folder / "metrics" / name / f"{opening}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as stream:
            stream.writelines(encode_row(1000.0 + number, row) for number, row in enumerate(series))
    return folder
