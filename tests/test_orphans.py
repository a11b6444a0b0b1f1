"""No process outlives the driver that started it: kill -9, SIGTERM, children in sessions of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from processes import below

from evoltune.orphans import tethered

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").is_file(), reason="descendants are found in /proc")

# A driver whose command starts children as torchrun does: in a session of their own, deaf to SIGTERM.
DRIVER = """
import subprocess, sys
from evoltune.orphans import tethered
deaf = "trap '' TERM HUP; echo $$ >> pids; while true; do sleep 0.1; done"
command = ["sh", "-c", f"echo $$ >> pids; setsid sh -c \\"{deaf.replace('$', chr(92) + '$')}\\" & wait"]
process = subprocess.Popen(tethered(command), start_new_session=True)
print("started", flush=True)
sys.exit(process.wait())
"""


def pids(folder: Path) -> list[int]:
    """The two process ids, once both are written."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        lines = (folder / "pids").read_text().split() if (folder / "pids").exists() else []
        if len(lines) == 2:
            return [int(line) for line in lines]
        time.sleep(0.02)
    raise AssertionError("the command did not start")


def is_running(pid: int) -> bool:
    try:
        return "(zombie)" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def wait_for_end(running: list[int]) -> None:
    deadline = time.monotonic() + 60
    while any(map(is_running, running)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(is_running, running))


def test_a_killed_driver_takes_its_command_and_all_descendants_along(tmp_path):
    driver = subprocess.Popen([sys.executable, "-c", DRIVER], cwd=tmp_path, stdout=subprocess.DEVNULL)
    running = pids(tmp_path)
    assert all(map(is_running, running))
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    wait_for_end(running)


def test_a_command_that_is_asked_to_end_leaves_no_descendant(tmp_path):
    driver = subprocess.Popen([sys.executable, "-c", DRIVER], cwd=tmp_path, stdout=subprocess.DEVNULL)
    running = pids(tmp_path)
    tether = int(Path(f"/proc/{running[0]}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(tether, signal.SIGTERM)
    assert driver.wait(60) == 128 + signal.SIGTERM
    wait_for_end(running)


@pytest.mark.parametrize(("script", "code"), [("exit 3", 3), ("exit 0", 0), ("kill -9 $$", 137)])
def test_the_exit_code_of_the_command_is_passed_on(script, code):
    assert subprocess.run(tethered(["sh", "-c", script])).returncode == code


CHILD = """
import os, sys, time
from evoltune.orphans import end_with_parent
if len(sys.argv) > 2:
    input()  # its parent ends before it watches
end_with_parent(int(sys.argv[1]))
print(os.getpid(), flush=True)
time.sleep(99)
"""


def test_a_child_ends_with_its_parent_in_the_middle_of_its_work():
    parent = (
        f"import os, subprocess, sys; subprocess.Popen([sys.executable, '-c', {CHILD!r}, str(os.getpid())]); input()"
    )
    process = subprocess.Popen([sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    pid = int(process.stdout.readline())
    assert is_running(pid)
    process.kill()
    process.wait()
    wait_for_end([pid])
    process.communicate()


def test_a_child_whose_parent_ended_before_it_watched_ends_too():
    parent = f"""if True:
        import os, subprocess, sys
        child = subprocess.Popen([sys.executable, '-c', {CHILD!r}, str(os.getpid()), 'late'], stdin=subprocess.PIPE)
        print(child.pid, flush=True)
        os.set_inheritable(child.stdin.fileno(), True)
        keeper = subprocess.Popen(['sh', '-c', 'sleep 0.5; echo'], stdout=child.stdin, close_fds=False)
        os.kill(os.getpid(), 9)
    """
    process = subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True)
    pid = int(process.stdout.readline())
    process.wait()
    wait_for_end([pid])
    process.communicate()


POOL = """
import sys, time
from evoltune.record import Task
from evoltune.domain import Job
from evoltune.sandbox.pool import Pool
from evoltune.sandbox.worker_protocol import WorkerConfig
WRITES = "import time\\ndef f():\\n    open('left', 'w').write('x')\\n    time.sleep(0.5)\\n    return 1"
if __name__ == "__main__":
    pool = Pool(WorkerConfig(domain="", at_most=sys.argv[1], require="L0", program_s=1.0), 1)
    print("ready", flush=True)
    if input() == "job":
        job = Job(program=WRITES, tests="assert f() == 1", entry_point="f", cpu_s=1.0)
        list(pool.map("jobs", [[job]] * 2))
"""


@pytest.fixture
def pool(tmp_path):
    """Starts a driver with a pool of one worker at a level; (driver, its descendants)."""
    (tmp_path / "driver.py").write_text(POOL)
    started = []

    def start(level):
        command = [sys.executable, tmp_path / "driver.py", level]
        driver = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        started.append(driver)
        assert driver.stdout.readline() == "ready\n"
        running = below(driver.pid)
        assert len(running) >= 2
        return driver, running

    yield start
    for driver in started:
        driver.kill()
        driver.communicate()


@pytest.mark.parametrize("level", ["L0", "L3"])
def test_an_idle_pool_and_its_zygotes_end_with_a_killed_driver(level, pool):
    driver, running = pool(level)
    driver.kill()
    wait_for_end(running)


def test_whichever_process_of_a_pool_is_killed_at_work_none_is_left_when_its_driver_ends(pool):
    victim, count = 0, 1
    while victim < count:
        driver, idle = pool("L3")
        count = len(idle)
        driver.stdin.write("job\n")  # it writes a file, so that a fresh scratch folder is asked for when it ends
        driver.stdin.flush()
        time.sleep(0.2)
        running = [*idle, *below(driver.pid)]
        with suppress(ProcessLookupError):  # one of the self-test
            os.kill(idle[victim], signal.SIGKILL)
        if victim % 2 == 0:
            driver.kill()
        driver.wait(60)
        wait_for_end(running)
        victim += 1


UNREAD = """
import os, select, sys
from evoltune.sandbox.pool import WorkerHandle
from evoltune.sandbox.worker_protocol import WorkerConfig
worker = WorkerHandle(WorkerConfig(domain="", require="L0", at_most="L0"))
select.select([worker.control], [], [])  # its notice is there, and is never read
print(worker.process.pid, flush=True)
os._exit(0)
"""


def test_a_driver_that_ends_without_reading_its_workers_notice_leaves_no_traceback():
    driver = subprocess.Popen([sys.executable, "-c", UNREAD], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    worker = int(driver.stdout.readline())
    _, said = driver.communicate(timeout=60)  # until the worker has closed its end, too
    wait_for_end([worker])
    assert said == ""


SLOW = """
import os, time
open("pids", "a").write(f"{os.getpid()} " * 2)
time.sleep(300)  # as long as an import may take
"""
PARENT = """
import subprocess, sys
from evoltune.orphans import module_with_parent
sys.exit(subprocess.Popen(module_with_parent("slow"), start_new_session=True).wait())
"""


def test_a_module_ends_with_its_parent_while_it_is_still_being_imported(tmp_path):
    (tmp_path / "slow.py").write_text(SLOW)
    driver = subprocess.Popen([sys.executable, "-c", PARENT], cwd=tmp_path)
    running = pids(tmp_path)
    driver.kill()
    driver.wait()
    wait_for_end(running)
