"""No process outlives the driver that started it: kill -9, SIGTERM, children in sessions of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

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


def test_a_child_ends_with_its_parent_in_the_middle_of_its_work(tmp_path):
    child = "import os, time; from evoltune.orphans import end_with_parent; end_with_parent(); print(os.getpid(), flush=True); time.sleep(99)"
    parent = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {child!r}]); input()"
    process = subprocess.Popen([sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    pid = int(process.stdout.readline())
    assert is_running(pid)
    process.kill()
    process.wait()
    wait_for_end([pid])
    process.communicate()
