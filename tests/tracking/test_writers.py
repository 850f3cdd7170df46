from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING

from nemorun_cli.tracking import Experiment, record

if TYPE_CHECKING:
    from pathlib import Path

    from support.programs import Program

PROCESSES = 8
ROWS = 300


def test_eight_processes_write_one_prefix(program: Program, root: Path) -> None:
    """Nothing of eight writers is lost or torn, each one's order stands, and they can be told apart."""
    text = f"""
    rank = int(os.environ['RANK'])
    with Experiment('a', dash_root=root, print_logs=False).run as e:
        print('ready', flush=True)
        sys.stdin.close()
        for step in range({ROWS}):
            e.metrics('train').log(rank=rank, step=step)
            e.log(f'{{rank}}:{{step}}')
        e.params.set({{f'rank{{rank}}': rank}})
        e.files('out').save_text(str(rank), to=f'{{rank}}.txt')
        e.tracks('t').append(rank=rank, _ts=rank)
    """
    processes = [program.start(text, RANK=str(rank)) for rank in range(PROCESSES)]
    for process in processes:
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
    told = record(root, "a")
    assert told is not None
    assert told.status == "COMPLETED"
    assert sorted(opening.facts["rank"] for opening in told.openings) == list(range(PROCESSES))
    data = told.data()
    read = data.metrics("train").read(attempts="all")  # they may not overlap on a busy machine
    assert len(read) == PROCESSES * ROWS
    for rank in range(PROCESSES):
        assert [row["step"] for row in read if row["rank"] == rank] == list(range(ROWS))
    assert len(data.logs.read()) == PROCESSES * ROWS
    assert data.params.get() == {f"rank{rank}": rank for rank in range(PROCESSES)}
    assert len(data.files.list()) == PROCESSES
    assert [entry["rank"] for entry in data.tracks("t").read()] == list(range(PROCESSES))


def test_forked_child_writes_files_of_its_own(program: Program, root: Path) -> None:
    """What a fork logs is in its own file, and neither its end nor its fault ends the parent's record."""
    text = """
    e = Experiment('a', dash_root=root)
    with e.run:
        e.metrics('m').log(x='parent').buffer(y=1)
        for child in range(2):
            pid = os.fork()
            if pid == 0:
                e.metrics('m').log(x=f'child {child}')
                e.params.set({f'child{child}': child})
                sys.exit(child)
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == child
        print(e.status)
        e.metrics('m').log(x='parent again')
    """
    assert program.run(text).strip() == "RUNNING"
    told = record(root, "a")
    assert told is not None
    assert (told.status, len(told.openings)) == ("COMPLETED", 1)
    read = told.data().metrics("m").read(keys=["x", "y.mean"])
    assert {row.get("x") for row in read} == {"parent", "child 0", "child 1", "parent again", None}
    assert [row["y.mean"] for row in read if "y.mean" in row] == [1.0]
    assert len(list((root / "a/.record/metrics/m").iterdir())) == 3
    assert told.data().params.get() == {"child0": 0, "child1": 1}


def test_worker_pool_logs(program: Program, root: Path) -> None:
    """Workers of a forked pool log through the record they inherited, and ending them ends nothing."""
    text = """
    import multiprocessing
    e = Experiment('a', dash_root=root)
    def work(number):
        e.metrics('m').log(x=number)
    with e.run:
        with multiprocessing.get_context('fork').Pool(3) as pool:
            pool.map(work, range(30))
        e.metrics('m').log(x=30)
    """
    program.run(text)
    told = record(root, "a")
    assert told is not None
    assert told.status == "COMPLETED"
    assert sorted(row["x"] for row in told.data().metrics("m").read()) == list(range(31))


def test_child_that_is_terminated_leaves_the_record_running(program: Program) -> None:
    """SIGTERM to a forked worker ends that worker by that signal and says nothing of the record."""
    text = """
    with Experiment('a', dash_root=root).run as e:
        pid = os.fork()
        if pid == 0:
            signal.pause()
        os.kill(pid, signal.SIGTERM)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGTERM
        print(e.status)
    """
    assert program.run(text).strip() == "RUNNING"


def test_fork_while_a_thread_logs_does_not_hang(program: Program, root: Path) -> None:
    """A child forked in the midst of another thread's append can log at once."""
    text = """
    import threading, warnings
    warnings.simplefilter('ignore')
    signal.alarm(15)
    done = threading.Event()
    with Experiment('a', dash_root=root).run as e:
        def work():
            while not done.is_set():
                e.metrics('m').log(x=1)
        thread = threading.Thread(target=work)
        thread.start()
        for _ in range(30):
            pid = os.fork()
            if pid == 0:
                e.metrics('child').log(x=1)
                os._exit(0)
            assert os.waitpid(pid, 0)[1] == 0
        done.set()
        thread.join()
    """
    program.run(text)
    assert len(Experiment("a", dash_root=root).metrics("child").read()) == 30


def test_threads_share_a_writer(experiment: Experiment) -> None:
    """Rows of several threads are all there and whole."""
    threads = [
        threading.Thread(target=lambda: [experiment.metrics("m").log(step=step) for step in range(500)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    read = experiment.metrics("m").read()
    assert (len(read), read.torn) == (2000, ())


def test_reading_while_another_process_writes(program: Program, root: Path) -> None:
    """A reader sees whole rows only, in order and never fewer than before, while another process writes."""
    text = """
    with Experiment('a', dash_root=root).run as e:
        e.metrics('m').log(step=0)
        print('ready', flush=True)
        step = 1
        while True:
            e.metrics('m').log(step=step, text='x' * 300)
            step += 1
    """
    process = program.until(text, "ready")
    metric = Experiment("a", dash_root=root).metrics("m")
    seen = 0
    while seen < 2000:
        steps = [row["step"] for row in metric.read()]
        assert steps == list(range(len(steps)))
        assert len(steps) >= seen
        seen = len(steps)
        (last,) = metric.read(tail=1)
        assert last["step"] >= seen - 1
    process.send_signal(signal.SIGKILL)
    process.wait()
