"""The zygote: forks a test runner per job, watches it from outside, and cleans up after it; it never reads a task.

What it receives is a descriptor (the test runner's line to the verifier process) and numbers (`limits.ResourceLimits`). It
enters its namespaces once; each job gets a pid namespace of its own, so that killing the job's init kills all of it.
Invariant: when it reports a job's end, no process of that job is alive and the scratch folder is empty.
"""

import _socket
import gc
import importlib
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from evoltune.errors import IsolationError
from evoltune.sandbox import filesystem, forms, isolation, kernel, limits, programs, test_runner, wire
from evoltune.sandbox.languages import ENVIRONMENT
from evoltune.sandbox.proxies import SolutionConnection
from evoltune.sandbox.reading import SEPARATE
from evoltune.sandbox.same_process import private
from evoltune.sandbox.solution_process import LoadedProgram

TICK_MS = 50
ORPHAN_S = 1.0
"""A job whose verifier process has closed the line may still take this long to end by itself."""
PRELOAD = (  # what programs import most; a heavy one (hashlib brings OpenSSL) would cost every fork more than it saves
    "bisect", "collections", "copy", "dataclasses", "datetime", "enum", "functools", "heapq", "itertools", "json", "math", "operator",
    "random", "re", "string", "struct", "threading", "time", "typing",
)  # fmt: skip
_WARM_UP_PROGRAM = (
    "import math\nfrom typing import List\ndef f(x: List[int]) -> int:\n    return sum(x)\nclass C:\n    pass\n"
)
_WARM_UP_CHECK = "def check(candidate):\n    assert candidate([1, 2]) == 3\n    assert candidate([2] * 3) == 6\n"
_WARM_UP_TESTS = (
    _WARM_UP_CHECK,
    "assert f([1, 2]) == 3",
    {"cases": [[[[1]], 1]]},
    {"probe": [[[1]]]},
    "assert f([1]) == 2",
)


@dataclass(frozen=True, kw_only=True)
class Zygote:
    """The supervisor's handle on the zygote."""

    requests: _socket.socket
    pid: int
    pidfd: int
    level: str
    scratch: str

    def close(self) -> None:
        """Ends the zygote and everything below it, and removes a scratch folder that lives on the host."""
        self.requests.close()
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        filesystem.remove_host_scratch(self.scratch)


def start_zygote(config: dict[str, Any]) -> Zygote:
    """Forks the zygote. Raises IsolationError when the host cannot give `config["require"]`."""
    ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
    pid = os.fork()
    if pid == 0:
        ours.close()
        with suppress(KeyboardInterrupt):
            _enter_and_serve(theirs, config)
        os._exit(1)
    theirs.close()
    hello = ours.recv(1 << 15).decode()
    level, scratch, lacks = (*hello.split("\n"), "", "")[:3]
    if not level or level < config["require"]:
        with suppress(OSError):
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        filesystem.remove_host_scratch(scratch)
        gives = f"this host gives {level or 'nothing'}; it lacks: {lacks or 'Linux'}"
        raise IsolationError(f"verify.sandbox.require: {config['require']} is required, {gives}")
    return Zygote(requests=ours, pid=pid, pidfd=os.pidfd_open(pid), level=level, scratch=scratch)


def _enter_and_serve(requests: _socket.socket, config: dict[str, Any]) -> None:
    """Enters the namespaces. With a pid namespace the zygote is a child of this process, which stays outside: only it may
    still mount a fresh scratch folder."""
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    isolated = isolation.enter(config["at_most"])
    near, far = _socket.socketpair()
    pid = os.fork() if isolated.namespaces else 0
    if pid:
        requests.close()
        far.close()
        with suppress(OSError):
            while near.recv(1):
                filesystem.fresh_scratch()
                near.send(b"1")
        os.waitpid(pid, 0)
        os._exit(0)
    near.close()  # else the zygote would wait for ever for a mounter that has died
    # Once, for all test runners and solution processes.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    own, proc = isolation.enclose_zygote(isolated)
    kernel.prctl(
        kernel.PR_SET_PDEATHSIG, signal.SIGKILL
    )  # the kernel forgets it when a user or group changes, as just now
    if isolated.namespaces:
        isolation.restrict(isolated, proc)
    hello = f"{isolated.level}\n{isolated.scratch}\n{'; '.join(isolated.lacks)}"
    requests.send(hello.encode()[: 1 << 15])
    _JobLoop(requests, far, isolated, own, proc).serve(config["preload"])
    os._exit(0)


@dataclass
class _JobLoop:
    """The zygote at work."""

    requests: _socket.socket
    mounter: _socket.socket
    """To the process that mounts a fresh scratch folder."""
    isolated: isolation.Isolation
    own_namespace: int
    proc: int

    def serve(self, preload: list[str]) -> None:
        """Runs jobs until the verifier process and the supervisor close the line."""
        scratch = self.isolated.scratch
        os.chdir(scratch)
        tmp_is_scratch = self.isolated.namespaces and os.path.islink("/tmp")
        # What programs see is the environment of `python main.py`, and nothing of ours.
        libraries = {"LD_LIBRARY_PATH": os.environ["LD_LIBRARY_PATH"]} if "LD_LIBRARY_PATH" in os.environ else {}
        folder = "/tmp" if tmp_is_scratch else scratch
        os.environ.clear()
        os.environ.update({**ENVIRONMENT, **libraries, "TMPDIR": folder, "HOME": folder})
        sys.argv = [programs.SCRIPT]
        limits.set_common_limits(filesystem.SCRATCH_MB)
        self.cores = os.sched_getaffinity(0) if self.proc >= 0 else set[int]()
        others = isolation.processes_outside_jobs(self.isolated)
        self.free_inodes = -1
        with suppress(OSError):
            self.free_inodes = os.statvfs(scratch).f_ffree
        warmed = 0
        while True:
            try:
                body, *descriptor = wire.receive_with_descriptor(self.requests, 256)
            except ConnectionError:  # the verifier process left reports unread
                return
            if not body:
                return
            resources = limits.ResourceLimits(*limits.LIMITS.unpack(body))
            warmed = self._warm(resources.number, warmed, preload)
            resources = resources._replace(processes=resources.processes + others)
            report = self._run(resources, *descriptor)
            with suppress(ConnectionError):
                self.requests.send(limits.REPORT.pack(*report))

    def _warm(self, number: int, warmed: int, preload: list[str]) -> int:
        """Imports what jobs will need. The domain's modules may be large: they wait until after job 1, the self-test."""
        if warmed < 1:
            needs_preload = not self.isolated.namespaces and self.isolated.uid is not None
            _import([*PRELOAD, *(filesystem.modules_to_preload() if needs_preload else [])])
            _freeze()
            _warm_up()
        if warmed < min(number, 2):
            _import(preload if number > 1 else [])
            private.judging().libraries.prepare()
            _freeze()
        return max(warmed, min(number, 2))

    def _run(self, resources: limits.ResourceLimits, line: int) -> limits.JobReport:
        if self.isolated.namespaces:
            kernel.unshare(kernel.NEWPID)
        if self.cores:  # the job starts on our core, where its pages are; after a tick it may leave
            os.sched_setaffinity(0, {kernel.current_cpu()})
        pid = kernel.fork()
        if pid == 0:
            _become_test_runner(line, resources, self.isolated)
        if self.isolated.namespaces:
            kernel.setns(self.own_namespace, kernel.NEWPID)
        if self.cores:
            os.sched_setaffinity(0, self.cores)
        report = self._watch(pid, resources, line)
        os.close(line)
        if not self.isolated.namespaces:
            filesystem.empty_folder(self.isolated.scratch)
        elif os.statvfs(self.isolated.scratch).f_ffree != self.free_inodes:
            self._ask_for_fresh_scratch()
            os.chdir(self.isolated.scratch)
        return report

    def _ask_for_fresh_scratch(self) -> None:
        """Ends this process when the one that mounts is gone: no job may find what another one left."""
        with suppress(OSError):
            self.mounter.send(b"1")
            if self.mounter.recv(1):
                return
        os._exit(1)

    def _watch(self, pid: int, resources: limits.ResourceLimits, line: int) -> limits.JobReport:
        """Waits for the test runner. Kills it for wall time (less the time it waited for a core), for memory summed over all
        processes of the job, or because the verifier process that reads the other end of `line` is gone."""
        pidfd = os.pidfd_open(pid)
        ended, hung_up = select.poll(), select.poll()
        ended.register(pidfd, select.POLLIN)
        hung_up.register(line, 0)
        began, waited, killed, peak, alone_since = time.monotonic(), 0.0, 0, 0, 0.0
        while not ended.poll(TICK_MS):
            wall = time.monotonic() - began
            alone_since = alone_since or (wall if hung_up.poll(0) else 0.0)
            resident, waited = self._usage(waited, pid)
            peak = max(peak, resident)
            if wall - waited > resources.wall_s or wall > 10 * resources.wall_s:
                killed = 1
            elif resident > resources.resident_mb << 10:
                killed = 2
            elif alone_since and wall - alone_since > ORPHAN_S:
                killed = 3
            if killed:
                os.kill(pid, signal.SIGKILL)  # not waited for yet, so the number is still its own
                break
        if not self.isolated.namespaces:
            isolation.kill_leftovers(pid)
        _, status = os.waitpid(pid, 0)
        os.close(pidfd)
        wall = time.monotonic() - began
        return limits.JobReport(resources.number, status, killed, peak, wall, waited)

    def _usage(self, waited: float, test_runner_pid: int) -> tuple[int, float]:
        """KiB resident in all processes of the job, and the longest time that one of them waited for a core. From now on
        they may use any core."""
        total = 0
        for name in os.listdir(self.proc) if self.proc >= 0 else ():
            if not name.isdigit() or int(name) == os.getpid():
                continue
            if not self.isolated.namespaces and not self._in_session(name, test_runner_pid):
                continue
            with suppress(OSError, IndexError, ValueError):
                for line in self._read(f"{name}/status").splitlines():
                    if line.startswith((b"RssAnon:", b"RssShmem:")):
                        total += int(line.split()[1])
                waited = max(waited, int(self._read(f"{name}/schedstat").split()[1]) / 1e9)
                os.sched_setaffinity(int(name), self.cores)
        return total, waited

    def _in_session(self, name: str, leader: int) -> bool:
        with suppress(OSError, IndexError, ValueError):
            return int(self._read(f"{name}/stat").rpartition(b")")[2].split()[2]) == leader
        return False

    def _read(self, path: str) -> bytes:
        fd = os.open(path, os.O_RDONLY, dir_fd=self.proc)
        try:
            return os.read(fd, 4096)
        finally:
            os.close(fd)


def _import(modules: Sequence[str]) -> None:
    for name in modules:
        with suppress(Exception):  # a program that needs a missing module says so itself
            importlib.import_module(name)


def _freeze() -> None:
    """Keeps the collector away from what every fork shares."""
    gc.disable()
    gc.collect()
    gc.freeze()


def _warm_up() -> None:
    """Runs a harmless program and its tests in two threads of this process; no thread is left when it returns.

    The interpreter rewrites its bytecode on the first runs of a function. Done here once, the rewritten pages are shared with
    every fork instead of being copied by each. Measured: 5.0 -> 4.2 ms of CPU for a small program.
    """
    for _ in range(12):
        for tests in _WARM_UP_TESTS:
            ours, theirs = _socket.socketpair()
            reading, writing = os.pipe()
            verifier, other = _socket.socketpair()
            replies, answers = os.pipe()
            solution = threading.Thread(target=_serve_warm_up, args=(theirs.fileno(), answers))
            solution.start()
            connection = SolutionConnection(ours.fileno(), reading, verifier.fileno(), replies)
            job = {
                "program": _WARM_UP_PROGRAM,
                "tests": tests,
                "entry": "f",
                "stdin": "",
                "language": "python",
                "judge": SEPARATE,
            }
            forms.run(connection, job)
            connection.drain()
            wire.send(other, ["token", [["pass", "", {}]]])
            wire.receive(verifier.fileno())
            ours.shutdown(_socket.SHUT_RDWR)
            solution.join()
            for sock in (ours, theirs, verifier, other):
                sock.close()
            for fd in (reading, writing, replies, answers):
                os.close(fd)
    private.judging()
    for name in [name for name in sys.modules if name == programs.NAME or name.partition(".")[0] == "evoltune"]:
        del sys.modules[name]  # programs find nothing of ours, and no job pays for the removal


def _serve_warm_up(channel: int, replies: int) -> None:
    with suppress(EOFError, OSError):
        loaded = LoadedProgram(channel)
        loaded.load(*wire.receive_request(channel)[1:3])
        loaded.serve(replies)


def _become_test_runner(line: int, resources: limits.ResourceLimits, isolated: isolation.Isolation) -> None:
    try:
        os.dup2(line, 3)
        os.closerange(4, 1 << 20)
        isolation.drop_privileges(isolated)
        limits.set_job_limits(resources)
        test_runner.main(3, resources)
    finally:
        os._exit(71)
