"""The seccomp filter: system calls that no judged program needs and that reach beyond it.

Refused calls give EPERM (clone3: ENOSYS, so that libc falls back to clone, whose flags a filter can read). A program
of another architecture is killed. Invariant: the filter is a pure function of (machine, strict), made once.

`strict` is for hosts without namespaces: there also signals, sessions and priorities are refused.
"""

from __future__ import annotations

import ctypes
import platform
import struct

from evoltune.sandbox import kernel

_ERRNO, _ALLOW, _KILL = 0x00050000, 0x7FFF0000, 0x80000000
_LOAD, _JEQ, _JSET, _JGE, _RET = 0x20, 0x15, 0x45, 0x35, 0x06
_EPERM, _ENOSYS = 1, 38
_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
# name: (x86_64, aarch64); None: that machine has no such call
DENIED: dict[str, tuple[int | None, int]] = {
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
STRICT: dict[str, tuple[int | None, int]] = {
    "kill": (62, 129), "tgkill": (234, 131), "setsid": (112, 157), "setpgid": (109, 154), "sched_setaffinity": (203, 122), "prlimit64": (302, 261),
}  # fmt: skip
_CLONE, _CLONE3, _UNSHARE, _SETNS, _PRLIMIT = (56, 220), (435, 435), (272, 97), (308, 268), (302, 261)
_KILL_CALL, _TGKILL, _AFFINITY = (62, 129), (234, 131), (203, 122)
_NAMESPACES = 0x7E020080


def _op(code: int, k: int, true: int = 0, false: int = 0) -> bytes:
    return struct.pack("<HBBI", code, true, false, k)


def program(machine: str, zygote: bool) -> bytes:
    """BPF code. `zygote`: the job zygote wears it too, so unshare and setns of a pid namespace stay: they need a
    capability that no job has; and so does the choice of a job's cores, until `own_cores` in each judge."""
    i = 0 if machine == "x86_64" else 1
    deny, argument0, argument1 = _op(_RET, _ERRNO | _EPERM), 16, 24
    code = [_op(_LOAD, 4), _op(_JEQ, _ARCH[machine], 1, 0), _op(_RET, _KILL), _op(_LOAD, 0)]
    if machine == "x86_64":  # the x32 table would be a way round every number below
        code += [_op(_JGE, 0x40000000, 0, 1), deny]
    code += [_op(_JEQ, _CLONE3[i], 0, 1), _op(_RET, _ERRNO | _ENOSYS)]
    code += [
        _op(_JEQ, _CLONE[i], 0, 4),
        _op(_LOAD, argument0),
        _op(_JSET, _NAMESPACES, 0, 1),
        deny,
        _op(_RET, _ALLOW),
    ]
    for call, argument in ((_UNSHARE[i], argument0), (_SETNS[i], argument1)):
        allowed = kernel.NEWPID if zygote else 0xFFFFFFFF
        code += [
            _op(_JEQ, call, 0, 4),
            _op(_LOAD, argument),
            _op(_JEQ, allowed, 1, 0),
            deny,
            _op(_RET, _ALLOW),
        ]
    # prlimit on oneself only: the others' limits are theirs
    code += [_op(_JEQ, _PRLIMIT[i], 0, 4), _op(_LOAD, argument0), _op(_JEQ, 0, 1, 0), deny, _op(_RET, _ALLOW)]
    # the job's init (the judge), and everybody at once, are nobody's to signal; another's cores are not to choose
    for call in (_KILL_CALL[i], _TGKILL[i]):
        code += [
            _op(_JEQ, call, 0, 5),
            _op(_LOAD, argument0),
            _op(_JEQ, 1, 1, 0),
            _op(_JEQ, 0xFFFFFFFF, 0, 1),
            deny,
            _op(_RET, _ALLOW),
        ]
    code += [] if zygote else _own_cores(i)
    for numbers in DENIED.values():
        if numbers[i] is not None:
            code += [_op(_JEQ, numbers[i] or 0, 0, 1), deny]
    return b"".join([*code, _op(_RET, _ALLOW)])


def _own_cores(i: int) -> list[bytes]:
    """sched_setaffinity of oneself only. Ends with the number of the system call loaded where it is another."""
    return [
        _op(_JEQ, _AFFINITY[i], 0, 4),
        _op(_LOAD, 16),
        _op(_JEQ, 0, 1, 0),
        _op(_RET, _ERRNO | _EPERM),
        _op(_RET, _ALLOW),
    ]


def own_cores(machine: str) -> bytes:
    """A second filter, for a judge and its candidate: what the zygote may still do."""
    i = 0 if machine == "x86_64" else 1
    return b"".join([_op(_LOAD, 0), *_own_cores(i), _op(_RET, _ALLOW)])


def strict_program(machine: str) -> bytes:
    """A second filter for the candidate where no pid namespace holds its signals."""
    i = 0 if machine == "x86_64" else 1
    code = [_op(_LOAD, 0)]
    for name, numbers in STRICT.items():
        if name != "prlimit64":
            code += [_op(_JEQ, numbers[i] or 0, 0, 1), _op(_RET, _ERRNO | _EPERM)]
    return b"".join([*code, _op(_RET, _ALLOW)])


def supported() -> bool:
    return platform.machine() in _ARCH and ctypes.sizeof(ctypes.c_void_p) == 8


def install(code: bytes) -> None:
    """Puts the filter on this process and its future children. Needs no_new_privs."""
    buffer = ctypes.create_string_buffer(code, len(code))
    head = struct.pack("<HxxxxxxQ", len(code) // 8, ctypes.addressof(buffer))
    kernel.prctl(kernel.PR_SET_SECCOMP, 2, ctypes.create_string_buffer(head, 16))
