"""The names that `nemorun_cli.nemo` offers, and what they cost."""

from __future__ import annotations

import subprocess
import sys

from nemorun_cli import nemo
from nemorun_cli.nemo import alias

OF_NEMO_RUN = """
autoconvert cli dryrun_fn lazy_imports LazyEntrypoint Config ConfigurableMixin DevSpace DockerExecutor
DGXCloudExecutor Executor import_executor ExecutorMacros Experiment FaultTolerance HybridPackager
GitArchivePackager PatternPackager help LeptonExecutor LocalExecutor LocalTunnel Packager Partial Plugin
PyTorchJobExecutor KubeflowExecutor run Script SkypilotExecutor SkypilotJobsExecutor SlurmExecutor SSHTunnel
Torchrun SlurmRay SlurmTemplate __version__ __package_name__
"""
LIGHT = """
nemorun_cli nemorun_cli.cli nemorun_cli.cli.program_errors nemorun_cli.errors nemorun_cli.model
nemorun_cli.model.control_characters nemorun_cli.nemo nemorun_cli.spec nemorun_cli.spec.calling_program
nemorun_cli.version
"""


def test_every_name_of_nemo_run_is_there() -> None:
    """What NeMo-Run's `__all__` has can be imported, `dir` lists it, and there is nothing else."""
    assert set(nemo.__all__) == set(OF_NEMO_RUN.split())
    for name in nemo.__all__:
        assert getattr(nemo, name) is not None
        assert name in dir(nemo)


def test_every_name_of_its_modules_is_there() -> None:
    """What programs import from NeMo-Run's own modules leads to something."""
    module = alias.Alias("nemo_run.core")
    for name in alias.OTHERS:
        assert getattr(module, name) is not None


def test_importing_it_loads_nothing_heavy() -> None:
    """A program pays for a name when it uses it."""
    program = "import sys, nemorun_cli.nemo; print(*(n for n in sys.modules if n.startswith('nemorun_cli')))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == set(LIGHT.split())
