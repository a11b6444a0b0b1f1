"""The few system calls that Python lacks, through ctypes; and the two filters built on them: Landlock and seccomp.

Invariant: a call that the kernel refuses raises OSError with its name; nothing here decides what to do without it.
"""

# Descriptors and forked processes: os, not pathlib.
# ruff: noqa: PTH112
from __future__ import annotations

import ctypes
import os
import platform
import struct
from collections.abc import Iterable
from contextlib import suppress

_LIBC = ctypes.CDLL(None, use_errno=True)
_FORK = ctypes.PyDLL(None, use_errno=True).fork
NEWNS, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET = (
    0x20000,
    0x4000000,
    0x8000000,
    0x10000000,
    0x20000000,
    0x40000000,
)
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = (
    1,
    2,
    4,
    8,
    32,
    4096,
    16384,
    1 << 18,
)
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = (
    1,
    4,
    22,
    36,
    38,
)


def _checked(name: str, result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")
    return result


def syscall(name: str, number: int, *args: object) -> int:
    return _checked(name, _LIBC.syscall(ctypes.c_long(number), *args))


def fork() -> int:
    """fork(2) without Python's hooks, for a process that has one thread. The hooks re-seed `random` and rebuild
    `threading`; they touch 120 pages, which costs a young process more than most programs do. Whoever runs a program
    in the child calls `random.seed()` first if the program draws."""
    return _checked("fork", _FORK())


def current_cpu() -> int:
    """The number of the core that runs us."""
    return _checked("sched_getcpu", _LIBC.sched_getcpu())


def unshare(flags: int) -> None:
    _checked("unshare", _LIBC.unshare(flags))


def setns(fd: int, kind: int) -> None:
    _checked("setns", _LIBC.setns(fd, kind))


def mount(source: str, target: str, kind: str, flags: int = 0, data: str = "") -> None:
    out = _LIBC.mount(source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), data.encode())
    _checked(f"mount {target}", out)


def detach(target: str) -> None:
    _checked("umount", _LIBC.umount2(target.encode(), 2))


def pivot(root: str) -> None:
    """Makes `root` (a mount point) the file system, and lets go of the old one."""
    os.chdir(root)
    syscall("pivot_root", {"x86_64": 155, "aarch64": 41}[platform.machine()], b".", b".")
    _checked("umount old root", _LIBC.umount2(b".", 2))
    os.chdir("/")


def sethostname(name: str) -> None:
    _checked("sethostname", _LIBC.sethostname(name.encode(), len(name)))


def prctl(option: int, value: int, pointer: object = None) -> None:
    zero = ctypes.c_ulong(0)
    _checked("prctl", _LIBC.prctl(option, ctypes.c_ulong(value), pointer or zero, zero, zero))


def drop_capabilities() -> None:
    """Empties the effective, permitted and inheritable sets for good."""
    header = ctypes.create_string_buffer(struct.pack("<Ii", 0x20080522, 0))
    _checked("capset", _LIBC.capset(header, ctypes.create_string_buffer(24)))


# ---- Landlock: which files may be read and written (system call numbers are the same everywhere)

_READ, _READ_DIR, _EXECUTE, _WRITE, _IOCTL = 1 << 2, 1 << 3, 1 << 0, 1 << 1, 1 << 15
_FS_BY_ABI = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1, 5: (1 << 16) - 1}


def landlock_abi() -> int:
    """The kernel's Landlock version; 0: none."""
    try:
        return syscall("landlock", 444, None, ctypes.c_size_t(0), 1)
    except OSError:
        return 0


def landlock(readable: Iterable[str], writable: Iterable[str], devices: Iterable[str], proc: int) -> None:
    """From here on this process reads only below `readable` and the descriptor `proc` (-1: none), writes only below
    `writable`, opens no TCP port, and (by ABI 6) signals nobody outside. Needs no_new_privs."""
    abi = landlock_abi()
    files = _FS_BY_ABI[min(abi, 5)]
    attributes = struct.pack("<QQQ", files, 3 if abi >= 4 else 0, 3 if abi >= 6 else 0)
    attributes = attributes[: 24 if abi >= 6 else 16 if abi >= 4 else 8]
    ruleset = syscall("landlock", 444, attributes, ctypes.c_size_t(len(attributes)), 0)
    rules = [(p, _READ | _READ_DIR | _EXECUTE) for p in readable] + [(p, files) for p in writable]
    for path, rights in [*rules, *((p, _READ | _WRITE | _IOCTL) for p in devices)]:
        with suppress(FileNotFoundError):
            fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
            if not os.path.isdir(path):
                rights &= _READ | _WRITE | _EXECUTE | (_IOCTL if abi >= 5 else 0)
            syscall("landlock rule", 445, ruleset, 1, struct.pack("<Qi", rights & files, fd), 0)
            os.close(fd)
    if proc >= 0:
        syscall("landlock rule", 445, ruleset, 1, struct.pack("<Qi", _READ | _READ_DIR, proc), 0)
    syscall("landlock_restrict_self", 446, ruleset, 0)
    os.close(ruleset)
