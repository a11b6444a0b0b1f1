"""A worker process: the supervisor, which forks the zygote and the verifier process.

The supervisor imports the domain and then only waits: it never reads a task, so no fork of it can remember one. The
verifier process reads tasks and runs the domain's own code, each answer under a CPU timer; untrusted programs go to the
zygote (`evoltune.sandbox.zygote`). Invariant: when the driver goes (its socket closes, for whatever reason), everything
here goes.

Started by `evoltune.sandbox.pool`; never by hand.
"""

from __future__ import annotations

import _socket
import gc
import importlib
import json
import os
import resource
import select
import signal
import struct
import sys
import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from evoltune.sandbox import wire

# Everything else of ours is imported in functions, after the zygote was forked: what it holds, every job would hold.
if TYPE_CHECKING:
    from evoltune.domain import Context, Domain
    from evoltune.sandbox.dispatch import Dispatcher
    from evoltune.sandbox.zygote import Zygote

LINGER_S = 0.05
"""How long a shared test runner is kept for the next batch."""
TURN_S = 0.25
"""A batch that has taken this long gives way to other callers' after the item at hand."""
INTERRUPTED = 1000
"""How a verifier process ended that was killed at the driver's wish; no signal and no exit status."""
VERIFIER_MB = 448
"""Memory that the domain's own code may take beyond what importing it took."""


def main(config: dict[str, Any]) -> None:
    """The supervisor. Returns when the driver closes its socket or when the zygote dies."""
    _leave_drivers_ways()
    control = _socket.socket(fileno=os.dup(config["control"]))  # the lowest number: `select` takes none above 1023
    os.close(config["control"])
    from evoltune.sandbox.zygote import start_zygote

    try:
        zygote = start_zygote(config)
        # What every verifier process needs, imported here once for all that are forked.
        import evoltune.sandbox.dispatch
        import evoltune.verification.records  # noqa: F401

        domain = _load_domain(config)
    except Exception as error:  # noqa: BLE001 - the domain is a plug-in; the driver raises it in the caller
        with suppress(BrokenPipeError, ConnectionResetError):
            control.send(json.dumps({"error": str(error), "kind": type(error).__name__}).encode()[: 1 << 15])
        return
    gc.collect()
    gc.freeze()
    died = interrupts = 0
    while True:
        ours, theirs = _socket.socketpair()
        verifier = os.fork()
        if verifier == 0:
            theirs.close()
            control.close()
            _verifier(ours, zygote, domain, config)
        ours.close()
        notice = {"level": zygote.level, "died": died, "interrupts": interrupts}
        with suppress(BrokenPipeError, ConnectionResetError):  # the driver left already, which `_wait_for` notices
            wire.send_with_descriptors(control, json.dumps(notice).encode(), theirs.fileno())
        theirs.close()
        died = _wait_for(verifier, control, zygote.pidfd)
        interrupts += died == INTERRUPTED
        if died < 0:
            zygote.close()
            os._exit(0)


def _leave_drivers_ways() -> None:
    """What a process hands on to those that it starts. A child that ends could not be waited for where the driver ignores
    SIGCHLD, a CPU timer would end nothing where it blocks SIGPROF, and jobs could not read their folder under its umask."""
    os.umask(0o022)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for number in signal.valid_signals() - {signal.SIGPIPE, signal.SIGXFSZ}:  # Python itself ignores these two
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


def _wait_for(verifier: int, control: _socket.socket, zygote: int) -> int:
    """How the verifier process ended (its signal or status); -1: the driver left, or the zygote died, and the verifier
    process was killed. It is killed as well when the driver sends a byte, because nobody wants its answer any more."""
    pidfd = os.pidfd_open(verifier)
    ready = select.select([pidfd, control.fileno(), zygote], [], [])[0]
    os.close(pidfd)
    unwanted = control.fileno() in ready and _is_asked(control)
    over = zygote in ready or (control.fileno() in ready and not unwanted)
    if over or unwanted:
        os.kill(verifier, signal.SIGKILL)
    status = os.waitpid(verifier, 0)[1]
    if over or unwanted:
        return -1 if over else INTERRUPTED
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def _is_asked(control: _socket.socket) -> bool:
    """Whether the driver sent something; otherwise it has closed its end, perhaps before it had read what was sent to it."""
    try:
        return bool(control.recv(1))
    except ConnectionResetError:
        return False


def _load_domain(config: dict[str, Any]) -> Domain | None:
    if not config["domain"]:
        return None
    from evoltune.domain import load_domain
    from evoltune.verification.records import profile_of

    domain = load_domain(config["domain"])
    if config["profile"]:
        profile_of(domain, config["profile"])
    for module in domain.preload:
        importlib.import_module(module)
    return domain


# ---- the verifier process


def _verifier(data: _socket.socket, zygote: Zygote, domain: Domain | None, config: dict[str, Any]) -> None:
    """Answers batches until the driver is gone. Never returns."""
    from evoltune.domain import Context, policy_of
    from evoltune.sandbox.dispatch import Dispatcher
    from evoltune.sandbox.worker_protocol import OUR_FAULT, TURN_OVER

    signal.signal(signal.SIGPROF, signal.SIG_DFL)  # kills even inside C code
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with open("/proc/self/statm") as file:
        pages = int(file.read().split()[0])
    limit = pages * os.sysconf("SC_PAGE_SIZE") + (VERIFIER_MB << 20)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    dispatcher = Dispatcher(zygote.requests, config, zygote.level)
    policy = policy_of(domain, config["policy"]) if domain else config["policy"]
    context = Context(run=dispatcher.run, many=dispatcher.run_many, policy=policy)
    try:
        while True:
            kind, items = _next_batch(data, dispatcher)
            until = time.monotonic() + TURN_S
            for left, item in zip(reversed(range(len(items))), items, strict=True):
                wire.send(data, _answer(kind, item, domain, context, config))
                if left and time.monotonic() > until:
                    wire.send(data, TURN_OVER)
                    break
    except (EOFError, OSError):
        os._exit(0)
    except BaseException:  # noqa: BLE001 - our own bug: the supervisor reports the status, the driver gives an `error`
        sys.excepthook(*sys.exc_info())
        os._exit(OUR_FAULT)


def _next_batch(data: _socket.socket, dispatcher: Dispatcher) -> tuple[str, list[Any]]:
    """Waits for the driver's next (kind, items); a shared test runner is closed when they do not come soon."""
    waiting_since = time.monotonic()
    if dispatcher.shared and not select.select([data], [], [], LINGER_S)[0]:
        dispatcher.close_shared()
    import pickle

    (size,) = struct.unpack(">Q", wire.read_exactly(data, 8))
    kind, items = pickle.loads(wire.read_exactly(data, size))  # from the driver, whom we trust
    dispatcher.more_follow = len(items) > 1 or time.monotonic() - waiting_since < LINGER_S
    return kind, items


def _answer(kind: str, item: Any, domain: Domain | None, context: Context, config: dict[str, Any]) -> Any:
    """A list (verdict rows, or names of tasks), or the fields of a `WorkerLost`."""
    from evoltune.author_calls import Inside, place, told
    from evoltune.errors import DomainError
    from evoltune.sandbox.worker_protocol import MAX_RAISED, WHOSE, verdict_to_row
    from evoltune.verification.records import overlapping, verify_record

    kind, profile, policy = (*kind.split(":", 2), "", "")[:3]
    if kind == "jobs":
        return [verdict_to_row(v) for v in context.run_many(item)]
    assert domain is not None
    record = item if kind == "verify" else item[1]
    began = time.perf_counter()
    signal.setitimer(signal.ITIMER_PROF, config["check_s"] * max(1, len(record.answers)))
    signal.setitimer(signal.ITIMER_REAL, config["wait_s"] * max(1, len(record.answers)))
    try:
        with Inside(WHOSE):
            if kind == "overlap":
                method, suite = item[0]
                return overlapping(domain, method, record, suite, context)
            profile = profile or config["profile"] or "sound"
            if policy:
                context = replace(context, policy={**context.policy, **json.loads(policy)})
            verified = verify_record(domain, record, context, profile=profile, confirm=config["confirm"])
            rows = [verdict_to_row(a.verdict) for a in verified.answers if a.verdict]
    except MemoryError:
        return {"status": "memory", "reason": f"checking took more than {VERIFIER_MB} MB"}
    except BaseException as error:  # noqa: BLE001 - Ctrl-C never comes here, so that KeyboardInterrupt is the author's too
        if isinstance(error, DomainError):
            return {"status": "error", "reason": str(error)[:MAX_RAISED], "raised": True}
        frame = place(error)
        where = f"{frame.name}, {os.path.basename(frame.filename)}:{frame.lineno}"
        return {"status": "error", "reason": f"{WHOSE} {told(error)[:MAX_RAISED]} ({where})", "raised": True}
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
    took = (time.perf_counter() - began) / max(1, len(rows))
    return [[status, reason, seconds or took, evidence] for status, reason, seconds, evidence in rows]
