"""Landlock: limits which files a process and its children may read and write, without privileges (Linux 5.13 or later).

System call numbers are the same on every architecture. Invariant: the restriction only adds; no process can lift it.

    restrict(readable=["/usr"], writable=["/tmp"], devices=["/dev/null"], proc=-1)
"""

import ctypes
import os
import struct
from collections.abc import Iterable
from contextlib import suppress

from evoltune.sandbox import kernel

_EXECUTE, _WRITE, _READ, _READ_DIR, _IOCTL = 1 << 0, 1 << 1, 1 << 2, 1 << 3, 1 << 15
_FS_RIGHTS_BY_ABI = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1, 5: (1 << 16) - 1}


def abi() -> int:
    """The kernel's Landlock version; 0: none."""
    try:
        return kernel.syscall("landlock", 444, None, ctypes.c_size_t(0), 1)
    except OSError:
        return 0


def restrict(readable: Iterable[str], writable: Iterable[str], devices: Iterable[str], proc: int) -> None:
    """From now on this process reads only below `readable` and the directory descriptor `proc` (-1: none), writes only
    below `writable`, opens no TCP port (ABI 4) and signals no process outside (ABI 6). Needs no_new_privs."""
    version = abi()
    files = _FS_RIGHTS_BY_ABI[min(version, 5)]
    attributes = struct.pack("<QQQ", files, 3 if version >= 4 else 0, 3 if version >= 6 else 0)
    attributes = attributes[: 24 if version >= 6 else 16 if version >= 4 else 8]
    ruleset = kernel.syscall("landlock", 444, attributes, ctypes.c_size_t(len(attributes)), 0)

    def allow(fd: int, rights: int) -> None:
        kernel.syscall("landlock rule", 445, ruleset, 1, struct.pack("<Qi", rights & files, fd), 0)

    rules = [(p, _READ | _READ_DIR | _EXECUTE) for p in readable] + [(p, files) for p in writable]
    for path, rights in [*rules, *((p, _READ | _WRITE | _IOCTL) for p in devices)]:
        with suppress(FileNotFoundError):
            fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
            if not os.path.isdir(path):
                rights &= _READ | _WRITE | _EXECUTE | (_IOCTL if version >= 5 else 0)
            allow(fd, rights)
            os.close(fd)
    if proc >= 0:
        allow(proc, _READ | _READ_DIR)
    kernel.syscall("landlock_restrict_self", 446, ruleset, 0)
    os.close(ruleset)
