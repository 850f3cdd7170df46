"""Which host a task starts on, and what it is reported to wait for."""

from __future__ import annotations

from typing import Any

import pytest

from nemorun_cli.executors.ssh.placement import Request, Room, fit, short_everywhere, waiting_message
from nemorun_cli.model.resources import Resources

ROOM = "room 4 1 8 2.5 1000 100 0,1 1 0123-boot 1700000000 10.0.0.2\nuse 2.5 100 0 e_1/a b"


def room(**changes: Any) -> Room:
    """A host with 4 slots, 8 CPUs, 1000 bytes and 2 GPUs, all free."""
    values: dict[str, Any] = {"slots": 4, "tasks": 0, "cpus": 8.0, "used_cpus": 0.0, "memory": 1000}
    values |= {"used_memory": 0, "gpus": 2, "free_gpus": 2, "boot": "b", "clock": 1.0, "address": None}
    return Room(**(values | changes))


def request(name: str = "t", *, only: str | None = None, **wanted: Any) -> Request:
    """A task that requests something."""
    return Request(wanted=Resources(**wanted), name=name, only=only)


def chosen(*requests: Request, blocked: tuple[str, ...] = (), **rooms: Room) -> list[str] | None:
    """The hosts on which tasks start that start together."""
    found = fit(requests, rooms, blocked=blocked)
    return found and found.hosts


def test_a_report_of_a_host_is_read() -> None:
    """Capacity, use, the names of the tasks, and nothing from a report that is not one."""
    found = Room.of(f"Welcome\n{ROOM}\n")
    assert found == room(
        tasks=1,
        used_cpus=2.5,
        used_memory=100,
        free_gpus=1,
        boot="0123-boot",
        clock=1.7e9,
        address="10.0.0.2",
        users=("e_1/a b",),
    )
    assert Room.of("") is None
    assert Room.of(ROOM.replace("1000", "x")) is None
    assert Room.of("room 4 1") is None


def test_a_task_starts_where_there_is_most_room() -> None:
    """Of the hosts with room for all that it requests, the least busy one."""
    assert chosen(request(), a=room(tasks=3), b=room(tasks=1)) == ["b"]
    assert chosen(request(gpus=2), a=room(), b=room(free_gpus=1)) == ["a"]
    assert chosen(request(cpus=8), a=room(used_cpus=0.5), b=room(tasks=3)) == ["b"]
    assert chosen(request(memory=901), a=room(used_memory=100)) is None
    assert chosen(request(), a=room(tasks=4)) is None
    assert chosen(request()) is None


def test_tasks_that_start_together_share_the_room() -> None:
    """All of them fit, or none starts."""
    pair = request("x", gpus=2), request("y", gpus=2)
    assert sorted(chosen(*pair, a=room(), b=room()) or []) == ["a", "b"]
    assert chosen(*pair, a=room()) is None


def test_a_retry_starts_where_its_files_are() -> None:
    """A task with a fixed host waits for that one."""
    assert chosen(request(only="a"), a=room(tasks=3), b=room()) == ["a"]
    assert chosen(request(only="a"), a=room(tasks=4), b=room()) is None


def test_a_large_request_is_not_starved() -> None:
    """While an early task waits for GPUs, later ones that request some wait; others start."""
    rooms = {"a": room(free_gpus=1), "b": room(free_gpus=1)}
    blocked = short_everywhere([request(gpus=2)], rooms)
    assert blocked == {"gpus"}
    assert chosen(request(gpus=1), blocked=("gpus",), **rooms) is None
    assert chosen(request(cpus=1), blocked=("gpus",), **rooms) == ["a"]
    assert short_everywhere([request(gpus=2, only="a")], rooms) == set()


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        ({"gpus": 1}, "waits for a GPU: a is full with e/x, e/y, e/z and 1 more; c: no route to host"),
        ({"gpus": 9}, "waits for a host: a has 2 GPUs; c: no route to host"),
        ({"cpus": 6}, "waits for CPUs: a is full with e/x, e/y, e/z and 1 more; c: no route to host"),
    ],
)
def test_a_task_tells_what_it_waits_for(wanted: dict[str, Any], text: str) -> None:
    """What is missing, who has it, and which hosts cannot be used."""
    rooms = {"a": room(free_gpus=0, used_cpus=4.0, users=("e/x", "e/y", "e/z", "e/w"))}
    assert waiting_message(rooms, {"c": "no route to host"}, Resources(**wanted)) == text
