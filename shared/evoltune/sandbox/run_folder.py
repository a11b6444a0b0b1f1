"""The folder in which a built program runs once for each input: every run finds what the build left, and nothing of an earlier run.

Without this a program could count its runs in a file, or leave a process that does, and answer by the number. Invariant: what
changes a file of the build is seen by its inode and by the time of its change, which no program can set; the build is then made anew.

    folder = RunFolder(build)          # a function that fills the current folder, and gives ["built"] or why it failed
    folder.restore()                   # before each run
"""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from evoltune.sandbox import kernel, limits
from evoltune.sandbox.filesystem import empty_folder

Mark = tuple[int, ...]


class RunFolder:
    """The current folder as `build` leaves it. Processes that lose their parent from now on become children of this one."""

    def __init__(self, build: Callable[[], list[Any]]) -> None:
        kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)
        self._build = build
        self.reply = build()
        """What the build said."""
        self._left = dict(_marks())

    def restore(self) -> None:
        """Ends what an earlier run left running, and removes what it wrote. Raises OSError where either is impossible."""
        end_children()
        if not self._removed():
            empty_folder(".")
            if self._build() != ["built"]:
                raise OSError("the program could not be built anew after it had changed its own files")
            self._left = dict(_marks())

    def _removed(self) -> bool:
        """Removes what the build did not leave. False where a file of the build is another one now."""
        try:
            found = dict(_marks())
        except OSError:  # paths too long
            return False
        for path in found.keys() - self._left.keys():  # what lies in a removed folder goes with it
            if os.path.dirname(path) in self._left and not _remove(path):
                return False
        return dict(_marks()) == self._left if found != self._left else True


def _marks() -> Iterator[tuple[str, Mark]]:
    """Path below the current folder, which is "." -> what changes when it is replaced or, of a file, written to."""
    folders = ["."]
    while folders:
        folder = folders.pop()
        mode = os.lstat(folder)
        yield folder, (mode.st_ino, mode.st_mode)
        for entry in os.scandir(folder):
            state = entry.stat(follow_symlinks=False)
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.path)
            else:
                yield entry.path, (state.st_ino, state.st_mode, state.st_size, state.st_ctime_ns)


def _remove(path: str) -> bool:
    try:
        if os.path.isdir(path) and not os.path.islink(path):
            os.chmod(path, 0o700)
            empty_folder(path)
            os.rmdir(path)
        else:
            os.unlink(path)
    except OSError:
        return False
    return True


def end_children() -> None:
    """Kills the processes below this one, and waits for them. Raises OSError where this process may not."""
    with suppress(ChildProcessError):
        while True:
            if os.waitpid(-1, os.WNOHANG)[0]:
                continue
            if not limits.is_below_init():
                raise OSError("it left a process running, which can be ended only in a namespace of its own")
            # By number, as /proc is out of sight and a signal to all at once is denied to everybody here.
            for number in range(2, _youngest() + 1):
                if number != os.getpid():
                    with suppress(ProcessLookupError):
                        os.kill(number, signal.SIGKILL)
            os.waitpid(-1, 0)


def _youngest() -> int:
    """A process number that is as high as any in this namespace."""
    if (child := os.fork()) == 0:
        os._exit(0)
    os.waitpid(child, 0)
    return child if child > os.getpid() else 1 << 22  # the numbers began anew
