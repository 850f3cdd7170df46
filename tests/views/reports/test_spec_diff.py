from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from nemorun_cli.model.spec import Retry, Spec, Task
from nemorun_cli.views.reports.spec_diff import ABSENT, Difference, Differences, of_specs, of_values

values = st.integers(0, 2) | st.booleans() | st.sampled_from(["", "1", "x"]) | st.none()
tasks = st.builds(
    Task,
    id=st.sampled_from(["a", "b", "g/0", "g/1"]),
    index=st.integers(0, 9),
    kind=st.sampled_from(["inline", "command"]),
    body=st.sampled_from(["echo", ("echo", "x")]),
    executor=st.sampled_from(["local", "other"]),
    workdir=st.just("/"),
    env=st.dictionaries(st.sampled_from("AB"), st.sampled_from("xy"), max_size=2),
    timeout=st.none() | st.integers(1, 2).map(float),
    retry=st.builds(Retry, limit=st.integers(0, 1)),
)
specs = st.builds(
    lambda found, params: Spec(
        name="x",
        folder="/",
        tasks=tuple(replace(one, group="g" if one.id.startswith("g/") else None) for one in found),
        params=params,
    ),
    st.lists(tasks, min_size=1, max_size=4, unique_by=lambda task: task.id),
    st.dictionaries(st.sampled_from("pq"), values, max_size=2),
)


def between(before: Spec, after: Spec) -> Differences:
    return of_specs(before, after, old_text=lambda _: None, new_text=lambda _: None)


@given(specs, specs)
def test_differences_are_the_same_seen_from_the_other_side(before: Spec, after: Spec) -> None:
    """What one side added the other removed, and each field has its two values exchanged."""
    there, back = between(before, after), between(after, before)

    assert (there.added, set(there.removed)) == (tuple(back.removed), set(back.added))
    assert {_key(one) for one in there.fields} == {_key(one, turned=True) for one in back.fields}
    assert len({_key(one) for one in there.fields}) == len(there.fields)


@given(specs)
def test_a_spec_does_not_differ_from_itself(spec: Spec) -> None:
    """Nothing is told where nothing changed, wherever in the file a task stands."""
    moved = replace(spec, tasks=tuple(replace(task, index=task.index + 1) for task in spec.tasks))

    assert between(spec, moved) == Differences(fields=(), removed=(), added=())


@given(specs, specs)
def test_every_task_that_differs_is_named(before: Spec, after: Spec) -> None:
    """A task of both is named if, and only if, something but its place in the file changed."""
    named = {name for one in between(before, after).fields for name in one.tasks}
    old = {task.id: task for task in before.tasks}

    assert named == {
        task.id
        for task in after.tasks
        if task.id in old and replace(task, index=old[task.id].index) != old[task.id]
    }


@given(
    st.recursive(
        values, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner)
    )
)
def test_a_value_does_not_differ_from_itself(value: Any) -> None:
    """Values of any shape are equal to themselves, and differ from what is not there."""
    assert list(of_values(value, value)) == []
    assert list(of_values(value, ABSENT)) == [((), value, ABSENT)]


def _key(one: Difference, *, turned: bool = False) -> tuple[Any, ...]:
    pair = (repr(one.before), repr(one.after))
    return (one.path, frozenset(one.tasks), *(reversed(pair) if turned else pair))


def test_a_field_by_the_values_of_a_trial_differs_by_its_text() -> None:
    """The difference is that of the texts in the spec, not of the values at a point of the space."""
    task = Task(id="a/trial-0001", index=0, kind="inline", body="true", executor="local", workdir="/")
    texts = ({"/retry/limit": "${{ search.n }}"}, {"/retry/limit": "${{ search.n + 1 }}"})
    limits = (Retry(limit=1), Retry(limit=1))
    before, after = (
        Spec(name="x", folder="/", tasks=(replace(task, searched=text, retry=retry),))
        for text, retry in zip(texts, limits, strict=True)
    )
    path, old, new = ("retry", "limit"), "${{ search.n }}", "${{ search.n + 1 }}"
    assert between(before, after).fields == (Difference(path=path, before=old, after=new, tasks=(task.id,)),)
    strange = replace(before, tasks=(replace(task, searched={"/no/such/9": "x", "/stop/9/above": "y"}),))
    assert between(strange, replace(strange, tasks=(task,))).fields == ()
