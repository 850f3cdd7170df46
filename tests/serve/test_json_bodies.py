"""Bodies that are JSON, or should be: whatever a client sends, the answer is its error and no fault."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from support.extent import IS_LONG
from support.view_sites import Reader, collector, reading

from nemorun_cli.errors import InvalidValueError
from nemorun_cli.serve.json_bodies import DEEPEST, parsed_object
from nemorun_cli.serve.mldash.node_ids import NodeId, NodeKind

if TYPE_CHECKING:
    from collections.abc import Iterator

EXPERIMENT = str(NodeId(NodeKind.EXPERIMENT, "alice/p/x"))
PATHS = {
    "/api/device/start": ("client_id", "device_secret_hash", "name"),
    "/api/device/poll": ("device_secret_hash", "device_code"),
    "/api/auth/exchange": (),
    "/v1/device/find": ("user_code",),
    "/v1/device/approve": ("user_code", "scopes"),
    "/v1/device/deny": ("user_code",),
    "/v1/session": ("once",),
    "/v1/link": ("path",),
    "/v1/heard": ("machine", "time", "alive", "supervised"),
    "/v1/live/none": ("subscribe", "unsubscribe", "positions"),
    "/graphql": ("query", "variables"),
    "/api/namespaces/alice/nodes": ("type", "name", "projectSlug", "parentId", "metadata", "tags", "bindrs"),
    f"/api/experiments/{EXPERIMENT}/parameters": ("data",),
    f"/api/experiments/{EXPERIMENT}/logs": ("logs",),
    f"/api/experiments/{EXPERIMENT}/metrics/m/append": ("data", "timestamp"),
    f"/api/experiments/{EXPERIMENT}/metrics/m/append-batch": ("dataPoints", "metadata", "description"),
    f"/api/experiments/{EXPERIMENT}/tracks/t/append": ("data", "timestamp"),
    f"/api/experiments/{EXPERIMENT}/tracks/t/append_batch": ("entries", "metadata"),
    f"/api/experiments/{EXPERIMENT}/tracks": ("topic",),
}
"""Each path that takes JSON, with the fields that it looks at."""
DEPTHS = (40, 95, 150, 400, 900, 950, 965, 980, 20_000) if IS_LONG else (95, 150, 965, 20_000)
VALUES = [
    "null", "true", "5", "-1.5", '"x"', "[]", "{}", "[[]]", "[{}]", "[[null, 1]]", '{"a": {"b": [1]}}',
    "NaN", "-Infinity", "1e999", "1" * 400, "9" * 5000, r'"\ud800"', r'["\ud800"]', r'{"\ud800": "\udfff"}',
    r'"\u0000"', '"x" "y"', "",
    *(opening * depth + "1" + closing * depth
      for depth in DEPTHS
      for opening, closing in (("[", "]"), ('{"a":', "}"))),
]  # fmt: skip


@pytest.fixture(scope="module")
def alice(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """A user of a server that collects."""
    with reading(collector(tmp_path_factory.mktemp("bodies"))) as (reader,):
        yield reader


def send(alice: Reader, path: str, data: bytes) -> None:
    """Send a body as it is; the answer is JSON, and no fault of the server."""
    headers = {"Authorization": f"Bearer {alice.token.secret}", "Content-Type": "application/json"}
    answer = alice.client.post(path, content=data, headers=headers)
    assert answer.status_code < 500, (path, data[:100], answer.text[:300])
    json.loads(answer.content)


@pytest.mark.parametrize("path", PATHS)
def test_no_body_is_a_fault_of_the_server(alice: Reader, path: str) -> None:
    """Any value, at any depth, in any field that an endpoint looks at, and any other text, is answered."""
    fields = {
        "user_code": '"AAAA-BBBB"', "machine": '{"host": "h"}', "time": "1.0", "type": '"EXPERIMENT"',
        "name": '"x"', "projectSlug": '"p"',
    }  # fmt: skip
    for wrong in VALUES:
        send(alice, path, wrong.encode())
        for name in PATHS[path]:
            given = {**{other: fields[other] for other in PATHS[path] if other in fields}, name: wrong}
            text = ", ".join(f'"{key}": {value}' for key, value in given.items())
            send(alice, path, f"{{{text}}}".encode())
    for data in (b"", b"\xff\xfe", b'{"a": "\xff"}', b"\xef\xbb\xbf{}", b'{"a": 1, "a": 2}', b"{", b"x"):
        send(alice, path, data)


@pytest.mark.parametrize("kind", ["logs", "dataPoints", "entries"])
def test_no_row_is_a_fault_of_the_server(alice: Reader, kind: str) -> None:
    """Any value in place of a row, or in one, is stored or refused by name, and the answer is 200."""
    call = {"logs": "logs", "dataPoints": "metrics/rows/append-batch", "entries": "tracks/rows/append_batch"}
    for value in VALUES:
        field = f'{{"message": "m", "timestamp": 1.0, "a": {value}}}'
        for row in (value, field, f'{{"timestamp": {value}}}'):
            data = f'{{"{kind}": [{row}]}}'.encode()
            send(alice, f"/api/experiments/{EXPERIMENT}/{call[kind]}", data)


@pytest.mark.parametrize(
    "text",
    [
        "[]", "5", '{"a": NaN}', '{"a": 1e999}', '{"a": 9223372036854775808}', '{"a": 1, "a": 1}',
        r'{"a": "\ud800"}', r'{"\udfff": 1}', "[" * 5000, '{"a":' * (DEEPEST + 1) + "1" + "}" * (DEEPEST + 1),
    ],
)  # fmt: skip
def test_what_no_client_sends_is_refused(text: str) -> None:
    """The reader returns objects with finite numbers, short integers, whole texts, and few levels alone."""
    with pytest.raises(InvalidValueError, match="the body is not"):
        parsed_object(text.encode())


def test_what_clients_send_is_read() -> None:
    """Values within the limits are what they are; for ML-Dash's clients also NaN and long integers."""
    value: Any = {"é": [1.5, -(1 << 63), None, True, "\U0001f600"], "b": {"c": [[]]}}
    assert parsed_object(json.dumps(value).encode()) == value
    deep = '{"a":' * DEEPEST + "1" + "}" * DEEPEST
    assert parsed_object(deep.encode())
    assert parsed_object(b'{"a": Infinity, "b": %d}' % 10**30, is_strict=False)["b"] == 10**30
