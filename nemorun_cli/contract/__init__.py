"""The contract that every executor keeps, as tests that the author of another one can run on theirs.

What is tested is an experiment as users start it: a spec, a supervisor of its own, the real engine
behind the executor. A folder of tests needs two files:

    # conftest.py
    import pytest

    pytest.register_assert_rewrite("nemorun_cli.contract.rules")

    from nemorun_cli.contract import Subject
    from nemorun_cli.contract.fixtures import workspace  # noqa: F401
    from nemorun_cli.contract.report import pytest_runtest_makereport, pytest_terminal_summary  # noqa: F401

    @pytest.fixture(params=[Subject(name="nice", options={"type": "nice"})], ids=str)
    def subject(request):
        return request.param

    # test_contract.py
    from nemorun_cli.contract.rules import *
"""

from nemorun_cli.contract.fixtures import Subject, Workspace

__all__ = ["Subject", "Workspace"]
