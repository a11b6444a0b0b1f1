"""Processes that must not outlive the one that started them, however it ended.

end_with_parent(pid)                   # in a child: a thread that ends this process when its parent, `pid`, is gone
command = module_with_parent("a.b")    # a command that calls the main() of a module in such a child
command = tethered(["torchrun", ...])  # a command that ends, with all its descendants, when this process is gone
code = run_tethered(["bash", FILE])    # the same, waited for
is_suspended(pid)                      # whether a process or one below it was stopped by a signal, and not yet continued

A parent-death signal would do for one child. It follows the thread that forked, and does not reach the ranks that torchrun
or deepspeed start in sessions of their own.
"""

import importlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from evoltune.heavy_imports import heavy_imports

MODULE = "--module"
POLL_S = 0.2
GRACE_S = 8.0
"""After SIGTERM, how long the command may take to end by itself."""


def end_with_parent(parent: int) -> None:
    """Starts a thread that ends this process within a second after its parent ended, also if that was before this call.

    Args:
        parent: The process that started this one, as it was told: read here, it may be the one that took over an orphan.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(POLL_S)
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="end with parent").start()


def module_with_parent(module: str) -> list[str]:
    """The command that calls `main()` of a module in a process which ends with this one. The watch begins before the module is
    imported: torch takes seconds, in which nothing would notice that the parent is gone."""
    return [sys.executable, "-m", "evoltune.orphans", MODULE, str(os.getpid()), module]


def tethered(command: Sequence[str]) -> list[str]:
    """The command, started by a small process that ends it with all its descendants when this process is gone."""
    return [sys.executable, "-m", "evoltune.orphans", str(os.getpid()), *command]


def run_tethered(command: Sequence[str]) -> int:
    """Runs a command to its end and returns its exit code. On Ctrl-C, SIGTERM or SIGHUP, too, all its descendants end first."""
    process = subprocess.Popen(tethered(command))
    try:
        return process.wait()
    except BaseException:
        process.terminate()
        process.wait()
        raise


def main() -> int:
    """Runs a command for the process whose id is the first argument, or a module in this process. Returns the exit code."""
    if sys.argv[1] == MODULE:
        end_with_parent(int(sys.argv[2]))
        with heavy_imports():
            module = importlib.import_module(sys.argv[3])
        module.main()
        return 0
    driver, command = int(sys.argv[1]), sys.argv[2:]
    with suppress(OSError):
        _become_subreaper()
    asked_to_end: list[float] = []
    signal.signal(signal.SIGTERM, lambda number, frame: asked_to_end.append(time.monotonic()))
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the driver decides
    process = subprocess.Popen(command)
    code = None
    forwarded = False
    while code is None:
        if os.getppid() != driver or (asked_to_end and time.monotonic() - asked_to_end[0] > GRACE_S):
            break
        if asked_to_end and not forwarded:
            process.terminate()
            forwarded = True
        with suppress(subprocess.TimeoutExpired):
            code = process.wait(POLL_S)
    _kill_descendants()
    code = process.wait() if code is None else code
    return code if code >= 0 else 128 - code


def is_suspended(root: int) -> bool:
    """Whether a process or one of its descendants stands still by SIGSTOP, Ctrl-Z or a debugger: it is not to blame for that."""
    return any(_state(pid) in ("T", "t") for pid in (root, *_descendants(root)))


def _state(pid: int) -> str:
    try:
        return _fields_of(Path(f"/proc/{pid}/stat"))[0]
    except (OSError, IndexError):
        return ""


def _fields_of(stat: Path) -> list[str]:
    """State, parent and so on: what stands behind the name, which may hold anything."""
    return stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()


def _become_subreaper() -> None:
    """Descendants whose parents died become children of this process, so that it still finds them."""
    import ctypes

    ctypes.CDLL(None, use_errno=True).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER


def _kill_descendants() -> None:
    while alive := _descendants(os.getpid()):
        for pid in alive:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        time.sleep(0.01)


def _descendants(root: int) -> list[int]:
    """Living processes below `root`, from /proc; empty where there is none."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError, IndexError):
            state, parent = _fields_of(stat)[:2]
            if state != "Z":
                children.setdefault(int(parent), []).append(int(stat.parent.name))
    found, waiting = [], [root]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


if __name__ == "__main__":
    sys.exit(main())
