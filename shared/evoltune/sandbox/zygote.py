"""The job zygote Z."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Zygote:
    """The supervisor's handle on Z."""

    requests: socket.socket
    pidfd: int
    level: str

    def close(self) -> None:
        self.requests.close()


def start_zygote(spec: dict[str, Any]) -> Zygote:
    mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid = os.fork()
    if pid == 0:
        mine.close()
        theirs.recv(1)
        os._exit(0)
    theirs.close()
    return Zygote(requests=mine, pidfd=os.pidfd_open(pid), level="L0")
