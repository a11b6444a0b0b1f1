"""The caller's side of the probe: starts it, asks it, and says what became of it when it does not answer.

    with Probe("./evoltune-sums", hash_seed=1) as probe:
        outcome = probe.call("answer", task, "42")      # outcome.value, or outcome.error with outcome.where

Limits per call: `CPU_S` of CPU, and `WAIT_S` in which the process only waits. A loaded machine lengthens neither.
"""

import json
import math
import os
import pickle
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any, Self

from evoltune.domain_kit.watching import Note
from evoltune.recipe import Verification
from evoltune.record import Verdict
from evoltune.sandbox import wire
from evoltune.sandbox.pool import Pool
from evoltune.sandbox.worker_protocol import WorkerConfig, verdict_from_row

CPU_S = Verification().check_s
"""CPU seconds of one call: the default of `verify.check_s`."""
PROGRAM_S = Verification().program_s
WRONG_S = 1.0
"""CPU seconds of a program that is a wrong answer."""
IMPORT_CPU_S = 30.0
LOAD_CPU_S = 20.0
WAIT_S = 6.0
POLL_S = 0.25
SLACK_S = 1.0
LITTLE_WAIT_S, OFTEN_WAITED = 0.05, 20
"""Seconds that one call may wait for whatever it is, and calls that wait longer: a cold disk makes fewer of them slow."""
CALL_S = 0.0005
"""CPU seconds that the probe takes for each call besides the function's own."""
_RUN = "import sys, json; config = json.loads(sys.argv[1]); sys.path[:] = config['path']; from evoltune.domain_kit.probe import main; main(config)"
_FRAME = re.compile(r'File "([^"]+)", line (\d+)')


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one call gave."""

    value: Any = None
    error: str = ""
    """What went wrong, as a sentence about the function: it raised, returned another type, hung, ended its process."""
    kind: str = ""
    """raise | type | lost; "": nothing went wrong."""
    where: str = ""
    notes: tuple[Note, ...] = ()
    clock: bool = False
    random: bool = False
    ran: bool = False
    """Whether it ran programs in the sandbox."""
    asked: frozenset[str] = frozenset()
    """Names of the `Task.fields` that verify asked for."""
    cpu: float = 0.0
    """CPU seconds."""
    heavy: tuple[str, ...] = ()
    """Of an import: the top-level modules that it brought."""


@dataclass
class Jobs:
    """The sandbox in which `context.run` of all probes runs its programs; started by the first one."""

    pool: Pool | None = None
    seconds: float = 0.0
    most_s: float = math.inf
    """CPU seconds of one program at most, whatever the domain asks for."""
    known: dict[str, Verdict] = field(default_factory=dict)
    """Verdicts of programs that ran: the laws judge an answer up to forty times, and each run costs 30 ms."""
    is_fresh: bool = False
    """Whether a program runs again although its verdict is known."""

    @contextmanager
    def fresh(self) -> Iterator[None]:
        """While it is checked whether the same program gives the same verdict."""
        self.is_fresh = True
        try:
            yield
        finally:
            self.is_fresh = False

    @contextmanager
    def limited(self, most_s: float) -> Iterator[None]:
        """While answers are judged that are known to be wrong: the sooner an endless program ends, the better."""
        before, self.most_s = self.most_s, most_s
        try:
            yield
        finally:
            self.most_s = before

    def run(self, jobs: list[Any]) -> list[Verdict]:
        jobs = [replace(job, cpu_s=min(job.cpu_s or PROGRAM_S, self.most_s)) for job in jobs]
        keys = [repr(job) for job in jobs]
        if not self.is_fresh and all(key in self.known for key in keys):
            return [self.known[key] for key in keys]
        verdicts = self._ran(jobs)
        settled = [(key, v) for key, v in zip(keys, verdicts, strict=True) if v.status in ("pass", "fail")]
        self.known.update(settled)
        return verdicts

    def _ran(self, jobs: list[Any]) -> list[Verdict]:
        began = time.monotonic()
        if self.pool is None:
            self.pool = Pool(WorkerConfig(domain=""), workers=1)
        (rows,) = self.pool.map("jobs", [jobs])
        self.seconds += time.monotonic() - began
        if isinstance(rows, list):
            return [verdict_from_row(row) for row in rows]
        return [Verdict(status=rows.status, reason=rows.reason) for _ in jobs]

    def close(self) -> None:
        if self.pool:
            self.pool.close(abandon=True)


@dataclass
class Probe:
    """A probe process and its line. After a call that did not end, the next call meets a new process."""

    ref: str
    roots: list[str]
    jobs: Jobs
    hash_seed: int = 0
    elsewhere: bool = False
    """Started as on another machine: other time zone, home, user, folder, number of cores."""
    hidden: list[str] = field(default_factory=list)
    """Packages that this machine is to lack."""
    imported: Outcome = field(default_factory=Outcome)
    fields: set[str] = field(default_factory=set)
    """Names of `Task.fields` that verify asked for."""
    options: set[str] = field(default_factory=set)
    """Options that were asked for in `context.policy`."""
    declared: set[str] = field(default_factory=set)
    """Options that were asked for in `Domain.policy`, which holds the defaults alone."""
    cpu: float = 0.0
    """CPU seconds of all calls, and those that they only waited."""
    waits: dict[str, list[float]] = field(default_factory=dict)
    """function -> seconds that each of its calls waited, where it did."""
    notes: dict[tuple[str, str, str], Note] = field(default_factory=dict)
    """(function, kind, place) -> what that function did besides returning a value."""

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def _start(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="evoltune-check-")
        folder = Path(self._folder.name)
        self._notes = (folder / "notes").open("a+")
        ours, theirs = socket.socketpair()
        path = [str(Path(p).resolve()) if p else str(Path.cwd()) for p in sys.path]
        config = {
            "ref": self.ref, "roots": self.roots, "cpu_s": IMPORT_CPU_S, "line": theirs.fileno(), "notes": self._notes.fileno(), "path": path,
            "elsewhere": self.elsewhere, "hidden": self.hidden,
        }  # fmt: skip
        env = {
            "PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": str(folder), "PYTHONHASHSEED": str(self.hash_seed),
            **{k: os.environ[k] for k in ("LD_LIBRARY_PATH", "EVOLTUNE_DATA") if k in os.environ},
        }  # fmt: skip
        if self.elsewhere:
            env |= {"LANG": "C", "TZ": "AAA-13", "HOME": "/nonexistent", "USER": "somebody", "LOGNAME": "somebody", "COLUMNS": "40", "LINES": "9",
                    "PATH": "/nonexistent", "OMP_NUM_THREADS": "1", "PYTHONUTF8": "0"}  # fmt: skip
        (folder / "cwd").mkdir()
        (folder / "tmp").mkdir()
        env["TMPDIR"] = str(folder / "tmp")
        with theirs, (folder / "stdout").open("wb") as out, (folder / "stderr").open("wb") as err:
            self._process = subprocess.Popen(
                [sys.executable, "-s", "-P", "-B", *(["-O"] if self.elsewhere else []), "-c", _RUN, json.dumps(config)], env=env, cwd=folder / "cwd", stdin=subprocess.DEVNULL,
                stdout=out, stderr=err, pass_fds=(theirs.fileno(), self._notes.fileno()), start_new_session=True,
            )  # fmt: skip
        self._line = ours
        self._is_alive = True
        self._cpu_s = IMPORT_CPU_S
        self.imported = self._read("import")

    def _end(self) -> None:
        self._is_alive = False
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._line.close()
        self._notes.close()
        self._folder.cleanup()

    def renew(self) -> None:
        """From the next call on a process in which nothing was called before."""
        if self._is_alive:
            self._end()

    def call(self, hook: str, *args: Any, key: Any = "", name: str = "", **mode: Any) -> Outcome:
        """One call.

        Args:
            name: the function as findings call it.
            mode: `shift`, `leap`, `extreme`: see `Surroundings`; `policy`: options that differ from their defaults; `lost`: a status
                with which the sandbox answers without running anything; `one_by_one`: a context without `many`.
        """
        if not self._is_alive:
            self._start()
        self._cpu_s = LOAD_CPU_S if hook in ("seeds", "load", "verify_many") else CPU_S
        request = {"hook": hook, "key": key, "args": args, "cpu_s": self._cpu_s, **mode}
        with suppress(OSError):  # an end is noticed on reading
            self._send(request)
        return self._read(name or hook)

    def _send(self, message: dict[str, Any]) -> None:
        body = pickle.dumps(message)
        self._line.sendall(struct.pack(">Q", len(body)) + body)

    def _read(self, name: str) -> Outcome:
        while True:
            if why := self._wait():
                return self._lost(name, why)
            try:
                (size,) = struct.unpack(">Q", wire.read_exactly(self._line, 8))
                reply = pickle.loads(wire.read_exactly(self._line, size))  # from the author's own domain
            except (EOFError, OSError):
                return self._lost(name, self._death())
            if "run" not in reply:
                break
            self._send({"verdicts": self.jobs.run(reply["run"])})
        name = reply.get("function") or name
        self.fields |= reply.get("fields", set())
        self.options |= reply.get("options", set())
        self.declared |= reply.get("declared", set())
        self._keep(name, reply["notes"])
        waited = 0.0 if reply.get("ran") else reply.get("waited", 0.0)
        self._count_waiting(name, waited)
        self.cpu += reply["cpu"] + waited + CALL_S
        error = f"{name} raised {reply['error']}" if reply["kind"] == "raise" else reply["error"]
        return Outcome(
            value=reply.get("value"), error=error, kind=reply["kind"], where=reply["where"], notes=tuple(reply["notes"]),
            clock=reply.get("clock", False), random=reply.get("random", False), cpu=reply.get("cpu", 0.0),
            ran=reply.get("ran", False), asked=frozenset(reply.get("fields", ())), heavy=reply.get("heavy", ()),
        )  # fmt: skip

    def _count_waiting(self, name: str, seconds: float) -> None:
        """Many calls that each wait a little, which no look at one of them would notice."""
        if seconds < LITTLE_WAIT_S:
            return
        waits = self.waits.setdefault(name, [])
        waits.append(seconds)
        if len(waits) == OFTEN_WAITED:
            text = (
                f"waits again and again ({median(waits):.2g} s in each of {OFTEN_WAITED} calls, in which nothing works)"
            )
            self._keep(name, [Note(kind="sleep", text=text, where="")])

    def _keep(self, name: str, notes: list[Note]) -> None:
        for note in notes:
            self.notes.setdefault((name, note.kind, note.where), note)

    def _wait(self) -> str:
        """ "" once a reply came (or the process ended); else why it is given up: it only waited for `WAIT_S`, or took more CPU
        than its own limit should have let it."""
        idle, began = 0, -1.0
        while not select.select([self._line], [], [], POLL_S)[0]:
            try:
                fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
                state, cpu = fields[0], (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
            except OSError:
                state, cpu = "R", 0.0
            began = cpu if began < 0 else began
            idle = idle + 1 if state in "ST" else 0
            if idle * POLL_S >= WAIT_S:
                return f"did not come back: it only waited for {WAIT_S:g} s"
            if cpu - began > self._cpu_s + SLACK_S:
                return "did not come back within its limit of CPU time, whose signal (SIGPROF) it keeps from arriving"
        return ""

    def _death(self) -> str:
        status = self._process.wait()
        if status == -signal.SIGPROF:
            return "did not come back within its limit of CPU time"
        return f"ended its process ({'signal' if status < 0 else 'status'} {abs(status)})"

    def _lost(self, name: str, how: str) -> Outcome:
        """The process is gone, or is ended here; its file of notes says where it was."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGUSR1)
            time.sleep(0.3)  # until the stack is written
        self._notes.seek(0)
        lines = self._notes.read().splitlines()
        told = [Note(**json.loads(line[5:])) for line in lines if line.startswith("note ")]
        self._keep(name, told)
        frames = [m for m in map(_FRAME.search, lines) if m and m[1].startswith(tuple(self.roots))]
        where = (
            f"{frames[0][1]}:{frames[0][2]}" if frames else next((n.where for n in told[::-1] if n.kind == "exit"), "")
        )
        self._end()
        return Outcome(error=f"{name} {how}", kind="lost", where=where, notes=tuple(told))
