"""seccomp filters: refuse the system calls that no program under test needs and that reach beyond its process.

A refused call fails with EPERM (clone3 with ENOSYS, so that libc falls back to clone, whose flags a filter can read). A
program of another architecture is killed. Three filters are stacked: `base_filter` on everything in the sandbox,
`own_cores_filter` on test runners and solution processes, and `no_signals_filter` where no pid namespace confines signals.

    install(base_filter("x86_64", zygote=False))    # needs no_new_privs
"""

import ctypes
import platform
import struct

from evoltune.sandbox import kernel

_ERRNO, _ALLOW, _KILL = 0x00050000, 0x7FFF0000, 0x80000000
_LOAD, _JEQ, _JSET, _JGE, _RET = 0x20, 0x15, 0x45, 0x35, 0x06
_EPERM, _ENOSYS = 1, 38
_SYSCALL_NUMBER, _ARCHITECTURE, _ARGUMENT_0, _ARGUMENT_1 = 0, 4, 16, 24
"""Offsets in the kernel's `struct seccomp_data` (the low half of an argument)."""
_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
# name: (x86_64, aarch64)
DENIED: dict[str, tuple[int, int]] = {
    "socket": (41, 198), "connect": (42, 203), "bind": (49, 200), "listen": (50, 201), "accept": (43, 202), "accept4": (288, 242),
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51), "move_mount": (429, 429),
    "open_tree": (428, 428), "fsopen": (430, 430), "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433),
    "mount_setattr": (442, 442), "swapon": (167, 224), "swapoff": (168, 225), "quotactl": (179, 60), "acct": (163, 89),
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "process_madvise": (440, 440),
    "kcmp": (312, 272), "pidfd_getfd": (438, 438), "bpf": (321, 280), "perf_event_open": (298, 241),
    "keyctl": (250, 219), "add_key": (248, 217), "request_key": (249, 218), "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426), "io_uring_register": (427, 427), "io_setup": (206, 0), "userfaultfd": (323, 282),
    "memfd_create": (319, 279), "memfd_secret": (447, 447), "shmget": (29, 194), "shmat": (30, 196), "msgget": (68, 186),
    "semget": (64, 190), "mq_open": (240, 180), "open_by_handle_at": (304, 265), "name_to_handle_at": (303, 264),
    "fanotify_init": (300, 262), "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106),
    "kexec_load": (246, 104), "kexec_file_load": (320, 294), "reboot": (169, 142), "syslog": (103, 116),
    "settimeofday": (164, 170), "clock_settime": (227, 112), "adjtimex": (159, 171), "clock_adjtime": (305, 266),
    "sethostname": (170, 161), "setdomainname": (171, 162), "iopl": (172, 999), "ioperm": (173, 999), "modify_ldt": (154, 999),
    "setpriority": (141, 140), "ioprio_set": (251, 30), "sched_setscheduler": (144, 119), "sched_setattr": (314, 274),
    "sched_setparam": (142, 118), "migrate_pages": (256, 238), "move_pages": (279, 239), "mbind": (237, 235),
    "set_mempolicy": (238, 237), "personality": (135, 92), "vhangup": (153, 58), "pidfd_send_signal": (424, 424), "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240), "tkill": (200, 130), "lookup_dcookie": (212, 18),
    "landlock_create_ruleset": (444, 444), "vmsplice": (278, 75), "mlock": (149, 228), "mlockall": (151, 230), "mlock2": (325, 284),
}  # fmt: skip
SIGNALS: dict[str, tuple[int, int]] = {
    "kill": (62, 129), "tgkill": (234, 131), "setsid": (112, 157), "setpgid": (109, 154), "sched_setaffinity": (203, 122),
}  # fmt: skip
_CLONE, _CLONE3, _UNSHARE, _SETNS, _PRLIMIT = (56, 220), (435, 435), (272, 97), (308, 268), (302, 261)
_KILL_CALL, _TGKILL, _AFFINITY = (62, 129), (234, 131), (203, 122)
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


def _column(machine: str) -> int:
    return 0 if machine == "x86_64" else 1


def base_filter(machine: str, zygote: bool) -> bytes:
    """BPF code for all processes of the sandbox.

    Args:
        machine: "x86_64" or "aarch64".
        zygote: the zygote has the filter too, so it keeps unshare and setns of pid namespaces (they need a capability
            that no job has) and the choice of a job's cores (until `own_cores_filter`).
    """
    i = _column(machine)
    code = [_op(_LOAD, _ARCHITECTURE), _op(_JEQ, _ARCH[machine], 1, 0), _op(_RET, _KILL)]
    code += [_op(_LOAD, _SYSCALL_NUMBER)]
    if machine == "x86_64":  # the x32 table would be a way around every number below
        code += [_op(_JGE, 0x40000000, 0, 1), _DENY]
    code += [_op(_JEQ, _CLONE3[i], 0, 1), _op(_RET, _ERRNO | _ENOSYS)]
    code += [_op(_JEQ, _CLONE[i], 0, 4), _op(_LOAD, _ARGUMENT_0), _op(_JSET, _NAMESPACE_FLAGS, 0, 1), _DENY, _ACCEPT]
    namespace = kernel.NEWPID if zygote else 0xFFFFFFFF
    code += _only_with(_UNSHARE[i], _ARGUMENT_0, namespace)
    code += _only_with(_SETNS[i], _ARGUMENT_1, namespace)
    code += _only_with(_PRLIMIT[i], _ARGUMENT_0, 0)  # the caller's own limits
    for call in (_KILL_CALL[i], _TGKILL[i]):
        code += [_op(_JEQ, call, 0, 5), _op(_LOAD, _ARGUMENT_0), _op(_JEQ, _INIT, 1, 0), _op(_JEQ, _EVERYBODY, 0, 1)]
        code += [_DENY, _ACCEPT]
    code += [] if zygote else _only_with(_AFFINITY[i], _ARGUMENT_0, 0)
    return _with_denied(code, [numbers[i] for numbers in DENIED.values()])


def own_cores_filter(machine: str) -> bytes:
    """sched_setaffinity only of the caller itself: what `base_filter` still lets the zygote do."""
    affinity = _only_with(_AFFINITY[_column(machine)], _ARGUMENT_0, 0)
    return _with_denied([_op(_LOAD, _SYSCALL_NUMBER), *affinity], [])


def no_signals_filter(machine: str) -> bytes:
    """No signals, sessions or process groups, for solution processes that share their pid namespace with the host."""
    return _with_denied([_op(_LOAD, _SYSCALL_NUMBER)], [numbers[_column(machine)] for numbers in SIGNALS.values()])


def _with_denied(code: list[bytes], calls: list[int]) -> bytes:
    for call in calls:
        code += [_op(_JEQ, call, 0, 1), _DENY]
    return b"".join([*code, _ACCEPT])


def supported() -> bool:
    return platform.machine() in _ARCH and ctypes.sizeof(ctypes.c_void_p) == 8


def install(code: bytes) -> None:
    """Puts the filter on this process and its future children. Needs no_new_privs."""
    buffer = ctypes.create_string_buffer(code, len(code))
    head = struct.pack("<HxxxxxxQ", len(code) // 8, ctypes.addressof(buffer))
    kernel.prctl(kernel.PR_SET_SECCOMP, 2, ctypes.create_string_buffer(head, 16))
