"""A pool of workers: items whose verifier process raises, dies or runs out of time; order, leaks, closing."""

import os
import signal
import threading
import time
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from evoltune.domain import Job
from evoltune.errors import DomainError
from evoltune.record import Answer, Record, Task
from evoltune.sandbox import pool as pool_module
from evoltune.sandbox.fair_queue import Lane
from evoltune.sandbox.pool import AHEAD, MAX_BATCH, Pool
from evoltune.sandbox.worker_protocol import WorkerConfig, WorkerLost

DOMAIN = """
import os
import time
from evoltune import Domain, Verdict

def overlap(record, suite, context):
    what = record.task.instruction
    if what == "raise":
        raise KeyError("no such thing")
    if what == "die":
        os.abort()
    while what.startswith("spin"):
        pass
    if what == "sleep":
        time.sleep(3600)
    while what.startswith("wait for ") and not os.path.exists(what[9:]):
        time.sleep(0.3)
    return [what]

domain = Domain(name="crashing", seeds=list, operators=(), overlap={"same": overlap},
                verify=lambda task, candidate, context: Verdict(status="pass"))
"""


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    package = tmp_path_factory.mktemp("pool") / "crashing_domain"
    package.mkdir()
    (package / "__init__.py").write_text(DOMAIN)
    opened = Pool(WorkerConfig(domain=str(package), require="L0", check_s=0.2, wait_s=3.0), workers=1)
    yield opened
    opened.close()


@pytest.mark.parametrize(
    ("instruction", "status", "reason"),
    [
        ("raise", "error", "KeyError"),
        ("die", "error", "died"),
        ("spin", "error", "0.2 s of CPU"),
        ("sleep", "error", "it waited"),
    ],
)
def test_an_overlap_check_without_a_result_is_a_lost_item_and_its_neighbours_are_answered(
    pool, instruction, status, reason
):
    records = [Record(domain="crashing", task=Task(instruction=i)) for i in ("a", instruction, "b")]
    first, lost, last = pool.map("overlap", ((("same", []), record) for record in records))
    assert (first, last) == (["a"], ["b"])
    assert isinstance(lost, WorkerLost) and lost.status == status and reason in lost.reason


WORKING = """
import time
from pathlib import Path
from evoltune import Domain, Verdict

def verify(task, candidate, context):
    Path(task.instruction).touch()
    while not Path(task.instruction).with_name("go").exists():
        time.sleep(0.01)
    return Verdict(status="pass")

domain = Domain(name="working", seeds=list, operators=(), verify=verify)
"""


@pytest.mark.parametrize("answers", [1, 2])
def test_an_answer_is_judged_though_its_worker_was_suspended_for_longer_than_its_limit(tmp_path, answers):
    """The limit of waiting runs on while a process is stopped, and strikes as soon as it goes on."""
    (tmp_path / "working_domain").mkdir()
    (tmp_path / "working_domain" / "__init__.py").write_text(WORKING)
    config = WorkerConfig(domain=str(tmp_path / "working_domain"), require="L0", check_s=60.0, wait_s=4.0)
    texts = tuple(Answer(text=str(i), model="m") for i in range(answers))
    records = [Record(domain="working", task=Task(instruction=str(tmp_path / n)), answers=texts) for n in ("a", "b")]
    with closing(Pool(config, workers=1)) as opened, ThreadPoolExecutor() as threads:
        found = threads.submit(lambda: [*opened.map("verify", records)])
        while not (tmp_path / "a").exists():
            time.sleep(0.01)
        worker = opened_worker(opened)
        os.killpg(worker, signal.SIGSTOP)
        time.sleep(4.0 * answers + 2)
        (tmp_path / "go").touch()
        os.killpg(worker, signal.SIGCONT)
        assert [[row[0] for row in rows] for rows in found.result()] == [["pass"] * answers] * 2


def opened_worker(pool: Pool) -> int:
    """The process of its one worker, which leads a session of its own."""
    return next(worker.process.pid for worker in pool._workers if worker)


# ---- callers beside each other


def overlaps(pool, *instructions, lane=None):
    records = (Record(domain="crashing", task=Task(instruction=i)) for i in instructions)
    return pool.map("overlap", ((("same", []), record) for record in records), lane)


@pytest.fixture(scope="module")
def patient(pool):
    """A pool whose items may spin for ever."""
    opened = Pool(replace(pool.config, check_s=1e6, wait_s=1e6), workers=1)
    yield opened
    opened.close()


def test_a_slow_batch_gives_way_to_another_caller_and_comes_back_whole(patient, tmp_path):
    gate = tmp_path / "open"
    ended: list[str] = []
    items = [Record(domain="crashing", task=Task(instruction=i)) for i in (f"wait for {gate}", "a", "b")]
    slow = patient.submit("overlap", [(("same", []), record) for record in items])
    quick = patient.submit("overlap", [(("same", []), items[1])])
    slow.add_done_callback(lambda _: ended.append("slow"))
    quick.add_done_callback(lambda _: ended.append("quick"))
    time.sleep(0.5)  # the first item takes longer than a turn, however fast the machine
    gate.touch()
    assert slow.result() == [[f"wait for {gate}"], ["a"], ["b"]] and ended == ["quick", "slow"]


def test_a_cancelled_caller_is_told_and_its_worker_is_free_for_others(patient):
    for attempt in ("spin 1", "spin 2"):
        lane, first = Lane(), threading.Event()
        told: list[BaseException] = []

        def call(lane=lane, first=first, attempt=attempt, told=told):
            results = overlaps(patient, "a", attempt, "b", lane=lane)
            assert next(results) == ["a"]
            first.set()
            try:
                list(results)
            except CancelledError as error:
                told.append(error)

        caller = threading.Thread(target=call)
        caller.start()
        first.wait()
        lane.cancel()
        caller.join()
        assert len(told) == 1
        assert list(overlaps(patient, "x", "y")) == [["x"], ["y"]]


def test_an_iterator_that_is_left_behind_holds_no_worker(patient):
    left = overlaps(patient, "a", "spin", "spin more")
    assert next(left) == ["a"]
    left.close()
    assert list(overlaps(patient, "x")) == [["x"]]


def test_an_abandoned_pool_closes_although_its_workers_are_busy(pool):
    busy = Pool(replace(pool.config, check_s=1e6, wait_s=1e6), workers=2, warm=True)
    results = [busy.submit("overlap", [(("same", []), Record(domain="c", task=Task(instruction="spin")))]) for _ in range(3)]  # fmt: skip
    busy.close(abandon=True)
    for future in results:
        with pytest.raises(CancelledError):
            future.result(60)


ADD = "def f(a, b):\n    return a + b\n"


CHECK = "def check(candidate):\n    assert candidate(1, 2) == 3\n    assert candidate(-1, 1) == 0\n"


def job(program, tests, **more):
    return Job(program=program, tests=tests, entry_point="f", **more)


MIX = (
    ADD,
    "def f(a, b): return 0",
    "import os\nos._exit(0)",
    "def f(a, b) return",
    "import tempfile\nopen(tempfile.mkstemp()[1], 'w').write('x')\n" + ADD,
    "import subprocess\nsubprocess.Popen(['sleep', '60'], start_new_session=True)\n" + ADD,
    "raise MemoryError",
    "print('x' * 100000)\n" + ADD,
)


def _state():
    """Descriptors of this process, mounts of the kind that a worker makes (others come and go), and its resident KiB."""
    resident = next(
        int(line.split()[1]) for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS")
    )
    mounts = [
        m for m in Path("/proc/self/mounts").read_text().splitlines() if "nr_inodes=16k" in m or "size=1024k" in m
    ]
    return len(os.listdir("/proc/self/fd")), mounts, resident


def _sleepers():
    return [p for p in os.listdir("/proc") if p.isdigit() and _command(p) == "sleep\x0060\x00"]


def _command(pid):
    try:
        return open(f"/proc/{pid}/cmdline").read()
    except OSError:
        return ""


@pytest.mark.parametrize("programs", [200, pytest.param(10_000, marks=pytest.mark.slow)])
def test_a_long_mixed_run_leaks_nothing(run, programs):
    sleeping = set(_sleepers())
    pool = Pool(WorkerConfig(domain="", require="L0", program_s=2.0, memory_mb=512), workers=2, warm=True)

    def run(count):
        jobs = [[job(MIX[i % len(MIX)] + f"\n# {i}", CHECK)] for i in range(count)]
        return [rows[0][0] for rows in pool.map("jobs", jobs)]

    expected = ["pass", "fail", "fail", "fail", "pass", "pass", "memory", "pass"]
    run(40)
    descriptors, mounts, resident = _state()
    assert run(programs) == [expected[i % len(MIX)] for i in range(programs)]
    after = _state()
    assert after[:2] == (descriptors, mounts)
    assert after[2] <= 1.1 * resident
    until = time.monotonic() + 10  # a verdict may be a moment ahead of the last sweep
    while set(_sleepers()) - sleeping and time.monotonic() < until:
        time.sleep(0.01)
    assert set(_sleepers()) <= sleeping
    pool.close()


def test_the_others_have_work_while_one_item_is_slow():
    pool, read = Pool(WorkerConfig(domain="", require="L0", program_s=2.0, memory_mb=512), workers=2), []

    def jobs():
        for i in range(600):
            read.append(i)
            yield [job("import time\ntime.sleep(0.7)\n" + ADD if i == 0 else ADD, CHECK)]

    results = pool.map("jobs", jobs())
    assert next(results)[0][0] == "pass"
    assert 4 * pool.size * 2 < len(read) <= AHEAD * pool.size + MAX_BATCH
    results.close()
    pool.close()


def test_a_further_worker_starts_when_work_waits_and_not_before(tmp_path, pool, monkeypatch):
    before = set(_children())
    with monkeypatch.context() as patient:
        patient.setattr(pool_module, "LATE_S", 3600.0)
        opened = Pool(pool.config, workers=3)
        assert list(overlaps(opened, "a", "b", "c")) == [["a"], ["b"], ["c"]]
        assert len(set(_children()) - before) == 1
        opened.close()
    opened = Pool(replace(pool.config, wait_s=1e6), workers=3)
    gates = [tmp_path / str(i) for i in range(3)]
    waiting = [
        opened.submit("overlap", [(("same", []), Record(domain="c", task=Task(instruction=f"wait for {gate}")))])
        for gate in gates
    ]
    gates[2].touch()  # a worker of its own ends it, while both others wait
    assert waiting[2].result(60) == [[f"wait for {gates[2]}"]]
    assert not waiting[0].done() and not waiting[1].done() and len(set(_children()) - before) >= 3
    opened.close(abandon=True)
    assert set(_children()) <= before


def test_a_pool_that_cannot_open_leaves_no_process():
    before = set(_children())
    with pytest.raises(DomainError):
        Pool(WorkerConfig(domain="nowhere_to_be_found", require="L0"), workers=3, warm=True)
    assert set(_children()) <= before


def _children():
    found = []
    for thread in Path("/proc/self/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # a thread that has just ended
            found += (thread / "children").read_text().split()
    return found
