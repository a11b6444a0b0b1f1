"""Warms the zygote: what a judge and a candidate will do, done in the zygote itself on a harmless program.

The interpreter rewrites its bytecode on the first runs of a function; done here once, the rewritten pages are shared
with every fork instead of being copied by each. Measured: 5.0 -> 4.2 ms of CPU for a small program.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading

from evoltune.sandbox import forms, remote, wire
from evoltune.sandbox import solution_process as candidate

_PROGRAM = "import math\nfrom typing import List\ndef f(x: List[int]) -> int:\n    return sum(x)\nclass C:\n    pass\n"
_CHECK = "def check(candidate):\n    assert candidate([1, 2]) == 3\n    assert candidate([2] * 3) == 6\n"
_TESTS = (_CHECK, "assert f([1, 2]) == 3", {"cases": [[[[1]], 1]]}, {"probe": [[[1]]]}, "assert f([1]) == 2")


def warm_up(rounds: int = 12) -> None:
    """Judges small programs in two threads of this process. No thread is left when it returns."""
    for _ in range(rounds):
        for tests in _TESTS:
            ours, theirs = socket.socketpair()
            reading, writing = os.pipe()
            checker, other = socket.socketpair()
            player = threading.Thread(target=_play, args=(theirs.fileno(),))
            player.start()
            link = remote.Link(ours.fileno(), reading, checker.fileno())
            forms.judge(link, tests, {"program": _PROGRAM, "entry": "f", "stdin": ""}, "python")
            link.drain()
            wire.send(other, ["nonce", [["pass", "", {}]]])
            wire.receive(checker.fileno())
            ours.shutdown(socket.SHUT_RDWR)
            player.join()
            for sock in (ours, theirs, checker, other):
                sock.close()
            os.close(reading)
            os.close(writing)
    sys.modules.pop(candidate.NAME, None)


def _play(channel: int) -> None:
    with contextlib.suppress(EOFError, OSError):
        candidate.Session(channel, wire.receive(channel)[1]).serve()
