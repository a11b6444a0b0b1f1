"""Linux system calls that Python's standard library lacks, through ctypes.

Invariant: a call that the kernel refuses raises OSError with the name of the call; what to do then is up to the caller.

    unshare(NEWPID)    # the next child is process 1 of a pid namespace of its own
"""

import ctypes
import os
import platform
import struct

_LIBC = ctypes.CDLL(None, use_errno=True)
_FORK = ctypes.PyDLL(None, use_errno=True).fork
NEWNS, NEWUTS, NEWIPC = 0x20000, 0x4000000, 0x8000000
NEWUSER, NEWPID, NEWNET = 0x10000000, 0x20000000, 0x40000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 32, 4096, 16384, 1 << 18
MS_NOATIME, MS_NODIRATIME, MS_RELATIME = 1024, 2048, 1 << 21
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SECCOMP = 1, 4, 22
PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 36, 38


def _checked(name: str, result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")
    return result


def syscall(name: str, number: int, *args: object) -> int:
    """A system call by number; `name` is for the error."""
    return _checked(name, _LIBC.syscall(ctypes.c_long(number), *args))


def fork() -> int:
    """fork(2) without Python's hooks, for a process with a single thread.

    The hooks re-seed `random` and rebuild `threading`. They touch 120 pages, which costs a new process more than most
    programs do. The child must call `random.seed()` before it runs a program that uses `random`.
    """
    return _checked("fork", _FORK())


def current_cpu() -> int:
    """The number of the core that this thread runs on."""
    return _checked("sched_getcpu", _LIBC.sched_getcpu())


def unshare(flags: int) -> None:
    _checked("unshare", _LIBC.unshare(flags))


def setns(fd: int, kind: int) -> None:
    _checked("setns", _LIBC.setns(fd, kind))


def mount(source: str, target: str, kind: str, flags: int = 0, data: str = "") -> None:
    result = _LIBC.mount(source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), data.encode())
    _checked(f"mount {target}", result)


def detach(target: str) -> None:
    """Unmounts lazily (MNT_DETACH): open files keep working, new paths no longer lead there."""
    _checked("umount", _LIBC.umount2(target.encode(), 2))


def pivot(root: str) -> None:
    """Makes `root`, a mount point, the root directory and unmounts the old one."""
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
