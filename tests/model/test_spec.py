from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from nemorun_cli.model.spec import Group, Retry, RunOptions, Spec, Task
from nemorun_cli.model.step_cache import CacheRule

NAMES = st.from_regex(r"\A[a-z][a-z0-9-]{0,8}\Z")
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=5,
)
TASKS = st.builds(
    Task,
    id=NAMES,
    index=st.integers(0, 9),
    kind=st.sampled_from(["script", "inline", "command", "partial"]),
    body=st.text() | st.lists(st.text()).map(tuple),
    executor=NAMES,
    workdir=st.text(),
    args=st.lists(st.text()).map(tuple) | st.dictionaries(st.text(), VALUES, max_size=3),
    entrypoint=st.lists(st.text()).map(tuple),
    env=st.dictionaries(st.text(), st.text()),
    secrets=st.lists(st.text()).map(tuple),
    env_inherit=st.sampled_from(["all", "none"]) | st.lists(st.text()).map(tuple),
    when=st.none() | st.booleans() | st.text(),
    retry=st.builds(Retry, limit=st.integers(0, 3), on=st.lists(st.just("oom") | st.just(3)).map(tuple)),
    timeout=st.none() | st.floats(0, 100),
    late=st.lists(st.text()).map(tuple),
    cache=st.none()
    | st.builds(
        CacheRule, inputs=st.lists(st.text()).map(tuple), also=st.lists(VALUES, max_size=2).map(tuple)
    ),
)
SPECS = st.builds(
    Spec,
    name=NAMES,
    folder=st.text(),
    tasks=st.lists(TASKS, max_size=3).map(tuple),
    groups=st.lists(st.builds(Group, id=NAMES, members=st.lists(NAMES).map(tuple)), max_size=2).map(tuple),
    params=st.dictionaries(st.text(), VALUES, max_size=3),
    run=st.builds(RunOptions, max_parallel=st.none() | st.integers(1, 9)),
    tags=st.lists(st.text()).map(tuple),
)


@given(SPECS)
def test_resolved_spec_survives_its_json_form(spec: Spec) -> None:
    """What is read back from resolved.json is what was written."""
    assert Spec.from_json(json.loads(json.dumps(spec.to_json()))) == spec


def test_fields_of_a_later_version_are_passed_over() -> None:
    """A reader does not stumble over fields that it does not know."""
    task = Task(id="a", index=0, kind="inline", body="x", executor="local", workdir="/")
    document = Spec(name="n", folder="/", tasks=(task,)).to_json()
    document["new"] = document["tasks"][0]["new"] = document["run"]["new"] = 1

    assert Spec.from_json(document).tasks == (task,)
