"""Which host a task starts on, and what it is reported to wait for."""

from __future__ import annotations

from typing import Any

import pytest

from nemorun_cli.executors.ssh.placement import (
    HostCapacity,
    PlacementRequest,
    fit,
    short_everywhere,
    waiting_message,
)
from nemorun_cli.model.resources import Resources

REPORT = "capacity 4 1 8 2.5 1000 100 0,1 1 0123-boot 1700000000 10.0.0.2\nuse 2.5 100 0 e_1/a b"


def capacity(**changes: Any) -> HostCapacity:
    """A host with 4 slots, 8 CPUs, 1000 bytes and 2 GPUs, all free."""
    values: dict[str, Any] = {"slots": 4, "tasks": 0, "cpus": 8.0, "used_cpus": 0.0, "memory": 1000}
    values |= {"used_memory": 0, "gpus": 2, "free_gpus": 2, "boot": "b", "clock": 1.0, "address": None}
    return HostCapacity(**(values | changes))


def request(name: str = "t", *, only: str | None = None, **wanted: Any) -> PlacementRequest:
    """A task that requests something."""
    return PlacementRequest(wanted=Resources(**wanted), name=name, only=only)


def chosen(
    *requests: PlacementRequest, blocked: tuple[str, ...] = (), **capacities: HostCapacity
) -> list[str] | None:
    """The hosts on which tasks start that start together."""
    found = fit(requests, capacities, blocked=blocked)
    return found and found.hosts


def test_a_report_of_a_host_is_read() -> None:
    """Capacity, use, the names of the tasks, and nothing from a report that is not one."""
    found = HostCapacity.of(f"Welcome\n{REPORT}\n")
    assert found == capacity(
        tasks=1,
        used_cpus=2.5,
        used_memory=100,
        free_gpus=1,
        boot="0123-boot",
        clock=1.7e9,
        address="10.0.0.2",
        users=("e_1/a b",),
    )
    assert HostCapacity.of("") is None
    assert HostCapacity.of(REPORT.replace("1000", "x")) is None
    assert HostCapacity.of("capacity 4 1") is None


def test_a_task_starts_where_there_is_most_capacity() -> None:
    """Of the hosts that have all that it requests, the least busy one."""
    assert chosen(request(), a=capacity(tasks=3), b=capacity(tasks=1)) == ["b"]
    assert chosen(request(gpus=2), a=capacity(), b=capacity(free_gpus=1)) == ["a"]
    assert chosen(request(cpus=8), a=capacity(used_cpus=0.5), b=capacity(tasks=3)) == ["b"]
    assert chosen(request(memory=901), a=capacity(used_memory=100)) is None
    assert chosen(request(), a=capacity(tasks=4)) is None
    assert chosen(request()) is None


def test_tasks_that_start_together_share_the_capacity() -> None:
    """All of them fit, or none starts."""
    pair = request("x", gpus=2), request("y", gpus=2)
    assert sorted(chosen(*pair, a=capacity(), b=capacity()) or []) == ["a", "b"]
    assert chosen(*pair, a=capacity()) is None


def test_a_retry_starts_where_its_files_are() -> None:
    """A task with a fixed host waits for that one."""
    assert chosen(request(only="a"), a=capacity(tasks=3), b=capacity()) == ["a"]
    assert chosen(request(only="a"), a=capacity(tasks=4), b=capacity()) is None


def test_a_large_request_is_not_starved() -> None:
    """While an early task waits for GPUs, later ones that request some wait; others start."""
    capacities = {"a": capacity(free_gpus=1), "b": capacity(free_gpus=1)}
    blocked = short_everywhere([request(gpus=2)], capacities)
    assert blocked == {"gpus"}
    assert chosen(request(gpus=1), blocked=("gpus",), **capacities) is None
    assert chosen(request(cpus=1), blocked=("gpus",), **capacities) == ["a"]
    assert short_everywhere([request(gpus=2, only="a")], capacities) == set()


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
    capacities = {"a": capacity(free_gpus=0, used_cpus=4.0, users=("e/x", "e/y", "e/z", "e/w"))}
    assert waiting_message(capacities, {"c": "no route to host"}, Resources(**wanted)) == text
