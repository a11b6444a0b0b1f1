"""Linux beyond Python's standard library, through ctypes: system calls, seccomp filters and Landlock.

Invariant: a call that the kernel refuses raises OSError with the name of the call; what to do then is up to the caller. What
seccomp (system calls) and Landlock (files) refuse a process and its children, they refuse for good; both need no_new_privs.

    unshare(NEWPID)    # the next child is process 1 of a pid namespace of its own
    restrict_files(readable=["/usr"], writable=["/tmp"], devices=["/dev/null"], proc=-1)
"""

import ctypes
import os
import struct
from collections.abc import Iterable
from contextlib import suppress

MACHINE = os.uname().machine
_LIBC = ctypes.CDLL(None, use_errno=True)
_C = ctypes.PyDLL(None)
plain_fork = getattr(_C, "_Fork", _C.fork)
"""`fork` without the check of its result, which is negative where it fails."""
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
    """fork(2) without Python's hooks, for a process with a single thread. The hooks touch 120 pages, which costs a new process
    more than most programs do; the child must call `random.seed()` before it runs a program that uses `random`."""
    return _checked("fork", plain_fork())


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
    syscall("pivot_root", {"x86_64": 155, "aarch64": 41}[MACHINE], b".", b".")
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


# ---- seccomp: a refused call fails with EPERM (clone3 with ENOSYS, so that libc falls back to clone, whose flags a filter can
# read); a program of another architecture is killed. Three filters are stacked: `base_filter` on everything in the sandbox,
# `own_cores_filter` on test runners and solution processes, `no_signals_filter` where no pid namespace confines signals.

_ERRNO, _ALLOW, _KILL = 0x00050000, 0x7FFF0000, 0x80000000
_LOAD, _JEQ, _JSET, _JGE, _RET = 0x20, 0x15, 0x45, 0x35, 0x06
_EPERM, _ENOSYS = 1, 38
_SYSCALL_NUMBER, _ARCHITECTURE, _ARGUMENT_0, _ARGUMENT_1 = 0, 4, 16, 24
"""Offsets in the kernel's `struct seccomp_data` (the low half of an argument)."""
_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_COLUMN = [*_ARCH].index
# Numbers of system calls: (x86_64, aarch64). The table is read here, because no job can see this folder.
with open(os.path.join(os.path.dirname(__file__), "denied_calls.txt"), encoding="utf-8") as _table:
    _TABLE = _table.read().splitlines()
_DENIED = [tuple(map(int, line.split()[1:])) for line in _TABLE if not line.startswith("#")]
_CLONE, _CLONE3, _UNSHARE, _SETNS, _PRLIMIT = (56, 220), (435, 435), (272, 97), (308, 268), (302, 261)
_KILL_CALL, _TGKILL, _SETSID, _SETPGID, _AFFINITY = (62, 129), (234, 131), (112, 157), (109, 154), (203, 122)
_NAMESPACE_FLAGS = 0x7E020080
_INIT, _EVERYBODY = 1, 0xFFFFFFFF
"""Targets of kill(2): the job's init (the test runner), and -1."""


def _op(code: int, k: int, true: int = 0, false: int = 0) -> bytes:
    return struct.pack("<HBBI", code, true, false, k)


_DENY = _op(_RET, _ERRNO | _EPERM)
_ACCEPT = _op(_RET, _ALLOW)


def _only_with(call: int, argument: int, value: int) -> list[bytes]:
    """Allows a call only where one of its arguments has this value."""
    return [_op(_JEQ, call, 0, 4), _op(_LOAD, argument), _op(_JEQ, value, 1, 0), _DENY, _ACCEPT]


def base_filter(machine: str, zygote: bool) -> bytes:
    """BPF code for all processes of the sandbox. With `zygote` the zygote has the filter too, so it keeps unshare and setns of
    pid namespaces (they need a capability that no job has) and the choice of a job's cores (until `own_cores_filter`)."""
    i = _COLUMN(machine)
    code = [_op(_LOAD, _ARCHITECTURE), _op(_JEQ, _ARCH[machine], 1, 0), _op(_RET, _KILL), _op(_LOAD, _SYSCALL_NUMBER)]
    if machine == "x86_64":  # the x32 table would be a way around every number below
        code += [_op(_JGE, 0x40000000, 0, 1), _DENY]
    code += [_op(_JEQ, _CLONE3[i], 0, 1), _op(_RET, _ERRNO | _ENOSYS)]
    code += [_op(_JEQ, _CLONE[i], 0, 4), _op(_LOAD, _ARGUMENT_0), _op(_JSET, _NAMESPACE_FLAGS, 0, 1), _DENY, _ACCEPT]
    namespace = NEWPID if zygote else 0xFFFFFFFF
    code += _only_with(_UNSHARE[i], _ARGUMENT_0, namespace)
    code += _only_with(_SETNS[i], _ARGUMENT_1, namespace)
    code += _only_with(_PRLIMIT[i], _ARGUMENT_0, 0)  # the caller's own limits
    for call in (_KILL_CALL[i], _TGKILL[i]):
        code += [_op(_JEQ, call, 0, 5), _op(_LOAD, _ARGUMENT_0), _op(_JEQ, _INIT, 1, 0), _op(_JEQ, _EVERYBODY, 0, 1)]
        code += [_DENY, _ACCEPT]
    code += [] if zygote else _only_with(_AFFINITY[i], _ARGUMENT_0, 0)
    return _with_denied(code, [numbers[i] for numbers in _DENIED])


def own_cores_filter(machine: str) -> bytes:
    """sched_setaffinity only of the caller itself: what `base_filter` still lets the zygote do."""
    affinity = _only_with(_AFFINITY[_COLUMN(machine)], _ARGUMENT_0, 0)
    return _with_denied([_op(_LOAD, _SYSCALL_NUMBER), *affinity], [])


def no_signals_filter(machine: str) -> bytes:
    """No signals, sessions or process groups, for solution processes that share their pid namespace with the host."""
    calls = (_KILL_CALL, _TGKILL, _SETSID, _SETPGID, _AFFINITY)
    return _with_denied([_op(_LOAD, _SYSCALL_NUMBER)], [numbers[_COLUMN(machine)] for numbers in calls])


def _with_denied(code: list[bytes], calls: list[int]) -> bytes:
    for call in calls:
        code += [_op(_JEQ, call, 0, 1), _DENY]
    return b"".join([*code, _ACCEPT])


def seccomp_supported() -> bool:
    return MACHINE in _ARCH and ctypes.sizeof(ctypes.c_void_p) == 8


def install_filter(code: bytes) -> None:
    """Puts the filter on this process and its future children."""
    buffer = ctypes.create_string_buffer(code, len(code))
    head = struct.pack("<HxxxxxxQ", len(code) // 8, ctypes.addressof(buffer))
    prctl(PR_SET_SECCOMP, 2, ctypes.create_string_buffer(head, 16))


# ---- Landlock (Linux 5.13 or later); its system call numbers are the same on every architecture

_EXECUTE, _WRITE, _READ, _READ_DIR, _IOCTL = 1 << 0, 1 << 1, 1 << 2, 1 << 3, 1 << 15
_FS_RIGHTS_BY_ABI = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1, 5: (1 << 16) - 1}


def landlock_version() -> int:
    """The kernel's Landlock version; 0: none."""
    try:
        return syscall("landlock", 444, None, ctypes.c_size_t(0), 1)
    except OSError:
        return 0


def restrict_files(readable: Iterable[str], writable: Iterable[str], devices: Iterable[str], proc: int) -> None:
    """From now on this process reads only below `readable` and the directory descriptor `proc` (-1: none), writes only below
    `writable`, opens no TCP port (version 4) and signals no process outside (version 6)."""
    version = landlock_version()
    files = _FS_RIGHTS_BY_ABI[min(version, 5)]
    attributes = struct.pack("<QQQ", files, 3 if version >= 4 else 0, 3 if version >= 6 else 0)
    attributes = attributes[: 24 if version >= 6 else 16 if version >= 4 else 8]
    ruleset = syscall("landlock", 444, attributes, ctypes.c_size_t(len(attributes)), 0)

    def allow(fd: int, rights: int) -> None:
        syscall("landlock rule", 445, ruleset, 1, struct.pack("<Qi", rights & files, fd), 0)

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
    syscall("landlock_restrict_self", 446, ruleset, 0)
    os.close(ruleset)
