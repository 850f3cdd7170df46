"""What tasks ask of a machine: how it is read, added up and granted, and who goes first."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nemorun_cli.model import units
from nemorun_cli.model.capacity import Capacity, Machine, PendingRequest
from nemorun_cli.model.resources import NOTHING, Resources
from nemorun_cli.model.spec import Task
from nemorun_cli.system import hardware

FOUR = Machine(cpus=4.0, memory=8 << 30, gpus=("0", "1", "2", "3"), marks=("0", "1", "2", "3"), origin="told")
GIGA = 1 << 30


def task(name: str, **wanted: float) -> Task:
    return Task(
        id=name,
        index=0,
        kind="inline",
        body=":",
        executor="local",
        workdir="/",
        resources=Resources(**wanted),
    )


def room() -> Capacity:
    return Capacity({"local": FOUR})


@pytest.mark.parametrize(
    ("text", "count"),
    [("512M", 512 << 20), ("4G", 4 << 30), ("1.5T", 3 << 39), ("2gib", 2 << 30), ("64KB", 64 << 10)],
)
def test_sizes_are_powers_of_1024(text: str, count: int) -> None:
    """The letter of a size says which power of 1024 it is, with or without B."""
    assert units.size(text) == count


@pytest.mark.parametrize("text", ["4", "G", "0G", "-1G", "4X", "1e3G", "4 G", ""])
def test_size_without_a_unit_is_refused(text: str) -> None:
    """A size is a number and its unit: a bare number is as likely meant in megabytes as in bytes."""
    with pytest.raises(ValueError, match="is not a size"):
        units.size(text)


@given(st.integers(1, 1 << 50))
def test_size_for_people_is_close(count: int) -> None:
    """What is shown of a size is right to half a percent."""
    text = units.size_text(count)
    shown = float(text[:-1]) if text.endswith("B") else units.size(text)
    assert abs(shown - count) <= count * 0.006


def test_all_of_a_company_starts_or_none_does() -> None:
    """Tasks that start together take what they need in all, or nothing."""
    space = room()
    space.add(NOTHING, ["0"])
    assert not space.take([task("a", gpus=3), task("b", gpus=1)])
    assert not space.granted
    space = room()
    assert space.take([task("a", gpus=3), task("b", gpus=1)])
    assert {name: grant.gpus for name, grant in space.granted.items()} == {"a": ("0", "1", "2"), "b": ("3",)}


def test_small_request_uses_only_what_a_waiting_large_one_leaves() -> None:
    """For a request that has to wait, what is free of its needs is set aside; the rest may be used."""
    space = room()
    space.add(Resources(gpus=2, cpus=1), ["0", "1"])
    assert not space.take([task("large", gpus=4, cpus=1)])
    assert not space.take([task("small", gpus=1)])
    assert space.take([task("other", cpus=2)])
    assert space.refused
    assert space.refused.task == "large"


def test_others_that_wait_get_their_turn_after_mine() -> None:
    """After one task of an experiment that waited was let in, those of others go before its next one."""
    space = room()
    space.add(Resources(gpus=2), ["0", "1"])
    space.later_requests = [PendingRequest(task="theirs", machine=FOUR, wanted=Resources(gpus=2))]
    assert space.take([task("mine", gpus=1)])
    assert not space.take([task("next", gpus=1)])


def test_request_that_never_fits_is_told_and_not_waited_for() -> None:
    """What asks for more than there is starts only to be told so, and sets nothing aside."""
    space = room()
    assert space.take([task("a", gpus=5, cpus=64, memory=9 * GIGA)])
    assert space.impossible == {
        "a": "this machine has 4 CPUs, not 64; 8G of memory, not 9G; 4 GPUs, not 5 (told)"
    }
    assert space.take([task("b", gpus=4)])


def test_closed_room_lets_in_who_asks_for_nothing() -> None:
    """While nobody knows what is in use, tasks without resources start all the same."""
    space = Capacity({"local": FOUR}, is_closed=True)
    assert space.take([task("plain")])
    assert not space.take([task("asks", cpus=1)])


@dataclass
class Crowd:
    """Tasks on one machine, as the rule lets them in; the oldest that waits is refused first."""

    running: dict[str, tuple[Resources, tuple[str, ...]]] = field(default_factory=dict)

    def admit(self, queue: list[Task]) -> list[Task]:
        """Let in who can start, in the order of the queue; gives who is left."""
        space = room()
        for wanted, marks in self.running.values():
            space.add(wanted, marks)
        left = [one for one in queue if not space.take([one])]
        self.running |= {name: (grant.wanted, grant.marks) for name, grant in space.granted.items()}
        return left


@given(st.data())
def test_no_gpu_is_given_twice_and_nobody_waits_for_ever(data: st.DataObject) -> None:
    """However tasks ask and end, nothing is overdrawn, and the first in the queue has its turn."""
    sizes = st.builds(
        Resources,
        cpus=st.sampled_from([None, 0.1, 1, 2.5, 4]),
        memory=st.sampled_from([None, GIGA, 8 * GIGA]),
        gpus=st.sampled_from([None, 1, 2, 4]),
    )
    crowd, queue, made = Crowd(), [task("first", gpus=4, cpus=4)], 0
    crowd.running["old"] = Resources(gpus=1, cpus=0.5), ("2",)
    for _ in range(40):
        for _ in range(data.draw(st.integers(0, 2))):
            made += 1
            wanted = data.draw(sizes)
            queue.append(task(f"t{made}", **wanted.to_json()))
        queue = crowd.admit(queue)
        marks = [mark for _, several in crowd.running.values() for mark in several]
        assert len(marks) == len(set(marks))
        total = Resources.total(wanted for wanted, _ in crowd.running.values())
        assert (total.cpus or 0) <= 4.001
        assert (total.memory or 0) <= 8 * GIGA
        if "first" in crowd.running:
            return
        crowd.running.pop(data.draw(st.sampled_from(sorted(crowd.running))), None)
        if not crowd.running:
            queue = crowd.admit(queue)
            assert "first" in crowd.running
            return
    raise AssertionError("it was overtaken for ever")


@pytest.mark.parametrize(
    ("text", "gpus"),
    [
        (None, None),
        ("", []),
        ("-1", []),
        ("NoDevFiles", []),
        ("2,3", ["2", "3"]),
        (" 1 , 0 ", ["1", "0"]),
        ("0,-1,1", ["0"]),
        ("1,1,2", ["1"]),
        ("GPU-8932f937,MIG-ab/1/0", ["GPU-8932f937", "MIG-ab/1/0"]),
    ],
)
def test_visible_devices_are_read_as_cuda_does(text: str | None, gpus: list[str] | None) -> None:
    """Ids count up to the first that is none, as CUDA takes them; unset is not the same as empty."""
    assert hardware.visible(text) == gpus


def test_request_says_itself_for_people() -> None:
    """A request reads as a sentence does."""
    assert str(Resources(cpus=1, memory=4 * GIGA, gpus=2)) == "1 CPU, 4G of memory and 2 GPUs"
    assert str(Resources(cpus=0.5)) == "0.5 CPUs"
    assert not Resources(gpus=0)
