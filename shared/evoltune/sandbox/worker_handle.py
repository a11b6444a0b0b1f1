"""The driver's handle on one worker process: starts it, sends batches, and replaces what dies.

Invariant: `check` returns one result per item, in order, and never raises for what an item does to the worker: a killed
verifier process costs its own item the answer, and the next item meets a new one.

    worker = WorkerHandle(WorkerConfig(domain="math")); worker.connect(); worker.check("verify", [record])
"""

import json
import os
import pickle
import signal
import socket
import struct
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from evoltune.domain import Job
from evoltune.errors import DomainError, IsolationError
from evoltune.sandbox import wire
from evoltune.sandbox.worker_protocol import Level, WorkerConfig, WorkerLost

START_S = 120.0
"""How long a worker may take to import its domain."""
_RUN_WORKER = (
    "import sys, json; config = json.loads(sys.argv[1]); sys.path[:] = config['path']; "
    "from evoltune.sandbox.worker import main; main(config)"
)
_SELF_TEST: tuple[tuple[str, str], ...] = (
    ("def f(a, b):\n    return a + b\n", "pass"),
    ("def f(a, b):\n    return a - b\n", "fail"),
    ("class A:\n    def __eq__(self, other):\n        return True\ndef f(a, b):\n    return A()\n", "fail"),
    ("import socket\nsocket.socket()\ndef f(a, b):\n    return a + b\n", "fail"),
)


class WorkerHandle:
    """One exec'd worker process: a supervisor, its zygote, and the verifier process that it forks and re-forks. It starts
    in the background; `connect` waits for it."""

    def __init__(self, config: WorkerConfig, lock_fd: int = -1) -> None:
        """`lock_fd`: a file that all workers of a pool share, for the lock between their jobs; -1: none."""
        self.config, self._lock_fd = config, lock_fd
        self._launch()

    def _launch(self) -> None:
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        argument = {
            "path": [p or str(Path.cwd()) for p in sys.path],
            "control": theirs.fileno(),
            "lock_fd": self._lock_fd,
            **asdict(self.config),
        }
        env = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "HOME": "/tmp",
            # Like `python -I`, but the hash seed is fixed: the order of a set must not depend on the worker.
            "PYTHONHASHSEED": "0",
            "MALLOC_ARENA_MAX": "2",  # an arena per thread would use up a job's address space, 64 MiB each
            **{k: os.environ[k] for k in ("LD_LIBRARY_PATH", "EVOLTUNE_DATA") if k in os.environ},
        }
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-s", "-P", "-B", "-c", _RUN_WORKER, json.dumps(argument)],
                pass_fds=[fd for fd in (theirs.fileno(), self._lock_fd) if fd >= 0],
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )

    def connect(self) -> None:
        """Waits until the worker is ready.

        Raises DomainError or IsolationError where the domain or the host is at fault; then the worker is closed.
        """
        self.control.settimeout(START_S)
        try:
            notice, self.data = self._next_notice()
        except (EOFError, OSError) as error:
            self.close()
            raise DomainError(f"domain {self.config.domain!r}: its worker process did not start ({error!r})") from error
        self.level: Level = notice["level"]
        self.control.settimeout(10.0)

    def _next_notice(self) -> tuple[dict[str, Any], socket.socket]:
        """The supervisor's notice of a new verifier process, and the stream that leads to it."""
        body, fds, *_ = socket.recv_fds(self.control, 1 << 16, 1)
        if not body:
            raise EOFError
        notice = json.loads(body)
        if "error" in notice:
            self.close()
            raise {"IsolationError": IsolationError}.get(notice["kind"], DomainError)(notice["error"])
        data = socket.socket(fileno=fds[0])
        data.settimeout(60 + 60 * self.config.program_s)
        return notice, data

    def self_test(self) -> None:
        """A sandbox that cannot tell these programs apart must not judge any other. Raises IsolationError.

        It also warms the zygote. Skipped at L0, where nothing is enforced.
        """
        if self.level == "L0":
            return
        tests = "assert f(1, 2) == 3"
        jobs = [Job(program=program, tests=tests, entry_point="f", cpu_s=5.0) for program, _ in _SELF_TEST]
        (rows,) = self.check("jobs", [jobs])
        found = [row[0] for row in rows] if isinstance(rows, list) else [str(rows)]
        expected = [status for _, status in _SELF_TEST]
        if found != expected:
            self.close()
            raise IsolationError(
                f"the sandbox's self-test gave {found}, expected {expected}: this host breaks it, please report"
            )

    def check(self, kind: str, items: list[Any]) -> list[Any]:
        """One JSON list per item; `WorkerLost` for an item that got no answer."""
        done: list[Any] = []
        while len(done) < len(items):
            try:
                body = pickle.dumps((kind, items[len(done) :]), protocol=pickle.HIGHEST_PROTOCOL)
                self.data.sendall(struct.pack(">Q", len(body)) + body)
                while len(done) < len(items):
                    message = wire.receive(self.data)
                    done.append(message if isinstance(message, list) else WorkerLost(**message))
            except TimeoutError:
                done.append(WorkerLost(status="timeout", reason="checking this answer did not end"))
                self._restart()
            except (EOFError, OSError, wire.ProtocolError):
                done.append(self._meet_next_verifier())
        return done

    def _meet_next_verifier(self) -> WorkerLost:
        """Connects to the verifier process that the supervisor forked anew. Returns why the last one died."""
        try:
            self.data.close()
            notice, self.data = self._next_notice()
        except (EOFError, OSError):
            self._restart()
            return WorkerLost(status="error", reason="the worker process died")
        if notice["died"] == signal.SIGPROF:
            limit = self.config.check_s
            return WorkerLost(status="timeout", reason=f"checking took more than {limit:g} s of CPU")
        return WorkerLost(status="error", reason=f"the verifier process died ({notice['died']})")

    def _restart(self) -> None:
        self.close()
        self._launch()
        self.connect()

    def close(self) -> None:
        """Ends the worker and everything below it."""
        for sock in (self.control, getattr(self, "data", None)):
            if sock:
                sock.close()  # the supervisor sees this, kills its children, and ends
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(5)
            return
        self.process.kill()
        self.process.wait()
