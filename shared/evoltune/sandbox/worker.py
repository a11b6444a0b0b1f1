"""A worker process: the supervisor S, which forks the job zygote Z and the checker C.

S imports the domain and then only waits: it never reads a task, so no fork of it can remember one. C reads tasks and
runs the domain's own code, each answer under a CPU timer; untrusted programs go to Z (`evoltune.sandbox.zygote`).
Invariant: when the driver goes (its socket closes, for whatever reason), everything here goes.

Started by `evoltune.sandbox.pool.Worker`; never by hand.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import pickle
import resource
import select
import signal
import socket
import struct
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evoltune.sandbox import wire

if TYPE_CHECKING:
    from evoltune.domain import Context, Domain
    from evoltune.sandbox.zygote import Zygote

LINGER_S = 0.05
"""How long a judge may wait for the next batch."""
CHECKER_MB = 448
"""Memory that the domain's own code may take beyond what importing it took."""


def main(spec: dict[str, Any]) -> None:
    """The supervisor. Leaves when the driver closes its socket or when Z dies."""
    control = socket.socket(fileno=spec["control"])
    from evoltune.sandbox.zygote import start_zygote

    try:
        zygote = start_zygote(spec)
        import evoltune.sandbox.dispatch
        import evoltune.verification.records  # noqa: F401 - what every checker needs, here for all that are forked

        domain = _load(spec)
    except Exception as error:  # noqa: BLE001 - the domain is a plug-in; the driver raises it in the caller
        with suppress(BrokenPipeError):
            control.send(json.dumps({"error": str(error), "kind": type(error).__name__}).encode()[: 1 << 15])
        return
    gc.collect()
    gc.freeze()
    died = 0
    while True:
        mine, theirs = socket.socketpair()
        checker = os.fork()
        if checker == 0:
            theirs.close()
            control.close()
            _checker(mine, zygote, domain, spec)
        mine.close()
        with suppress(BrokenPipeError):  # the driver left already: `_watch` sees it
            socket.send_fds(
                control, [json.dumps({"level": zygote.level, "died": died}).encode()], [theirs.fileno()]
            )
        theirs.close()
        died = _watch(checker, control, zygote.pidfd)
        if died < 0:
            zygote.close()
            os._exit(0)


def _watch(checker: int, control: socket.socket, zygote: int) -> int:
    """How the checker ended (its signal or status); -1: the driver left, or Z died, and the checker is gone too."""
    pidfd = os.pidfd_open(checker)
    ready = select.select([pidfd, control.fileno(), zygote], [], [])[0]
    os.close(pidfd)
    over = control.fileno() in ready or zygote in ready
    if over:
        os.kill(checker, signal.SIGKILL)
    status = os.waitpid(checker, 0)[1]
    return -1 if over else os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def _load(spec: dict[str, Any]) -> Domain | None:
    if not spec["domain"]:
        return None
    from evoltune.domain import load_domain
    from evoltune.errors import DomainError, nearest

    domain = load_domain(spec["domain"])
    if spec["profile"] and spec["profile"] not in domain.profiles:
        raise DomainError(
            f"profile {spec['profile']!r}: the domain {domain.name!r} has none: {nearest(spec['profile'], domain.profiles)}"
        )
    for module in domain.preload:
        importlib.import_module(module)
    return domain


# ---- the checker


def _checker(data: socket.socket, zygote: Zygote, domain: Domain | None, spec: dict[str, Any]) -> None:
    """Answers batches until the driver is gone. Never returns."""
    from evoltune.domain import Context, policy_of
    from evoltune.sandbox.dispatch import Client

    signal.signal(signal.SIGPROF, signal.SIG_DFL)  # kills even inside C code
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    limit = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE") + (
        CHECKER_MB << 20
    )
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    client = Client(zygote.requests, spec, zygote.level)
    policy = policy_of(domain, spec["policy"]) if domain else spec["policy"]
    context = Context(run=client.run, many=client.run_many, policy=policy)
    try:
        while True:
            idle = time.monotonic()
            if client.keeps and not select.select([data], [], [], LINGER_S)[0]:
                client.let_go()
            (size,) = struct.unpack(">Q", wire.exactly(data, 8))
            kind, items = pickle.loads(wire.exactly(data, size))  # from the driver, whom we trust
            client.more = len(items) > 1 or time.monotonic() - idle < LINGER_S
            for item in items:
                wire.send(data, _answer(kind, item, domain, context, spec))
    except (EOFError, OSError):
        os._exit(0)
    except BaseException:  # noqa: BLE001 - a bug of ours: S reports the status, the driver gives an `error` verdict
        sys.excepthook(*sys.exc_info())
        os._exit(70)


def _answer(kind: str, item: Any, domain: Domain | None, context: Context, spec: dict[str, Any]) -> Any:
    from evoltune.sandbox.worker_protocol import verdict_to_row
    from evoltune.verification.records import verify_record

    if kind == "jobs":
        return [verdict_to_row(v) for v in context.run_many(item)]
    assert domain is not None
    record = item if kind == "verify" else item[1]
    began = time.perf_counter()
    signal.setitimer(signal.ITIMER_PROF, spec["check_s"] * max(1, len(record.answers)))
    try:
        if kind == "overlap":
            method, suite = item[0]
            return [str(n) for n in domain.overlap[method](record, suite, context)]
        judged = verify_record(
            domain, record, context, profile=spec["profile"] or "sound", confirm=spec["confirm"]
        )
        verdicts = [verdict_to_row(a.verdict) for a in judged.answers if a.verdict]
    except MemoryError:
        return {"status": "memory", "reason": f"checking took more than {CHECKER_MB} MB"}
    except Exception as error:  # noqa: BLE001 - the domain is a plug-in
        reason = f"the domain's code raised {type(error).__name__}: {str(error)[:300]}"
        return {"status": "error", "reason": reason}
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    took = (time.perf_counter() - began) / max(1, len(verdicts))
    return [[s, r, seconds or took, e] for s, r, seconds, e in verdicts]
