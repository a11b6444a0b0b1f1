"""Isolation levels: which protections the zygote can get on this host, and how it and each job obtain them.

    L3  namespaces (user where needed, mount, net, ipc, uts, a pid namespace per job) + Landlock + seccomp + limits
    L2  Landlock + seccomp + limits                       (hosts that forbid user namespaces)
    L1  seccomp + limits, and another user when started as root
    L0  limits and a process group                        (only where the caller allows it)

Invariant: `enter` reports the level that it really reached and the reason for each protection that it lacks.
"""

import os
import signal
from contextlib import suppress
from dataclasses import dataclass

from evoltune.sandbox import filesystem, kernel, limits

_REMEDY = (
    "user namespaces may be off: sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone=1, "
    "kernel.apparmor_restrict_unprivileged_userns=0; in Docker: --security-opt seccomp=unconfined, or --privileged"
)
_OWN_CORES = kernel.own_cores_filter(kernel.MACHINE)


@dataclass(frozen=True, kw_only=True)
class Isolation:
    """What a zygote obtained."""

    level: str
    lacks: tuple[str, ...]
    namespaces: bool
    landlock: bool
    seccomp: bool
    uid: int | None
    """The user that jobs become; None: they keep ours."""
    scratch: str
    root: str = ""


def enter(at_most: str) -> Isolation:
    """Enters the namespaces, and finds out what else the host offers. Called in the zygote's future parent."""
    lacks: list[str] = []
    namespaces, uid, root = False, None, ""
    if at_most == "L3":
        own = os.open("/proc/self/ns/pid", os.O_RDONLY)
        try:
            uid = _unshare()
            root = filesystem.build_root()
            kernel.sethostname("sandbox")
            namespaces = True
        except OSError as error:
            lacks.append(f"namespaces ({error}; {_REMEDY})")
            with suppress(OSError):  # a process that waits for a new pid namespace can start no thread
                kernel.setns(own, kernel.NEWPID)
        finally:
            os.close(own)
    else:
        lacks.append(f"namespaces (not tried: at_most is {at_most})")
    if not namespaces and os.geteuid() == 0:
        uid = _job_uid()
    landlocked = at_most >= "L2" and kernel.landlock_version() > 0
    filtered = at_most >= "L1" and kernel.seccomp_supported()
    if not landlocked:
        lacks.append("Landlock (Linux 5.13 or later with `landlock` in the `lsm=` boot parameter)")
    if not filtered:
        lacks.append(f"seccomp (x86_64 or aarch64 Linux, not {kernel.MACHINE})")
    level = "L0" if not filtered else "L1" if not landlocked else "L2" if not namespaces else "L3"
    scratch = filesystem.SCRATCH if namespaces else filesystem.make_host_scratch(uid)
    return Isolation(
        level=level, lacks=tuple(lacks), namespaces=namespaces, landlock=landlocked, seccomp=filtered,
        uid=uid, scratch=scratch, root=root,
    )  # fmt: skip


def _job_uid() -> int:
    """A user per worker, lest a thread bomb use up another's allowance. Below 65536: containers map no more."""
    return 61184 + os.getpid() % 4000


def _unshare() -> int | None:
    """New namespaces; the user that jobs become. Raises OSError where the host refuses."""
    flags = kernel.NEWNS | kernel.NEWNET | kernel.NEWIPC | kernel.NEWUTS | kernel.NEWPID
    if os.geteuid() == 0:
        try:
            kernel.unshare(flags)
            return _job_uid()
        except PermissionError:  # root of a container without CAP_SYS_ADMIN: continue as an ordinary user
            os.setgroups([])
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
            kernel.prctl(kernel.PR_SET_DUMPABLE, 1)
    uid, gid = os.getuid(), os.getgid()
    kernel.unshare(kernel.NEWUSER | flags)
    for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)
    return None


def enclose_zygote(isolation: Isolation) -> tuple[int, int]:
    """In the zygote: drops to the jobs' group and user, and moves into the new root. Returns descriptors of its own pid
    namespace (-1 without namespaces) and of a private /proc (-1: none)."""
    if isolation.uid is not None:
        os.setgroups([])
        os.setresgid(isolation.uid, isolation.uid, isolation.uid)
    if not isolation.namespaces:
        kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)
        return -1, os.open("/proc", os.O_RDONLY)
    own = os.open("/proc/self/ns/pid", os.O_RDONLY)
    kernel.prctl(kernel.PR_SET_DUMPABLE, 0)  # no process may open a job's memory or descriptors
    place, proc = f"{isolation.root}/proc", -1
    with suppress(OSError):  # a container that masks parts of /proc forbids an unmasked one
        flags = kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC
        kernel.mount("proc", place, "proc", flags)
        proc = os.open(place, os.O_RDONLY)
        kernel.detach(place)
        # For /proc/self/fd. Other processes are invisible here, as none of ours can be traced; what Landlock lets a program open
        # below is only what its own descriptors lead to.
        kernel.mount("proc", place, "proc", flags, "hidepid=invisible,subset=pid")
    kernel.pivot(isolation.root)
    with suppress(OSError):
        flags = kernel.MS_BIND | kernel.MS_REMOUNT | kernel.MS_RDONLY | kernel.MS_NOSUID | kernel.MS_NODEV
        kernel.mount("none", "/", "", flags)
    return own, proc


def restrict(isolation: Isolation, proc: int = -1) -> None:
    """Puts this process and its children under Landlock and seccomp. Called once, in the zygote, where namespaces confine
    signals; else in each test runner."""
    if isolation.level == "L0":
        return
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    if isolation.landlock:
        writable = os.path.dirname(filesystem.SCRATCH) if isolation.namespaces else isolation.scratch
        readable = [*filesystem.readable_folders(), *filesystem.ETC]
        kernel.restrict_files(readable, [writable], filesystem.DEVICES, proc)
    if isolation.seccomp:
        kernel.install_filter(kernel.base_filter(kernel.MACHINE, zygote=isolation.namespaces))


def drop_privileges(isolation: Isolation) -> None:
    """In a test runner: no privilege is left, whoever we were."""
    os.setsid()
    if isolation.uid is not None:
        os.setresuid(isolation.uid, isolation.uid, isolation.uid)
    elif isolation.namespaces:
        kernel.drop_capabilities()
    if isolation.namespaces and isolation.seccomp:
        kernel.install_filter(_OWN_CORES)
    if not isolation.namespaces:
        kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
        restrict(isolation)
        limits.without_pid_namespace(isolation.seccomp)


def processes_outside_jobs(isolation: Isolation) -> int:
    """What to add to a job's RLIMIT_NPROC: outside of a user namespace it counts everything that this user runs."""
    if isolation.uid is not None or isolation.namespaces:
        return 0
    count = 0
    for name in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError):
            if os.stat(f"/proc/{name}").st_uid == os.getuid():
                count += len(os.listdir(f"/proc/{name}/task"))
    return count + 128


def kill_leftovers(test_runner: int) -> None:
    """Kills what a job left on a host without namespaces: its process group, and orphans that were re-parented to us."""
    with suppress(ProcessLookupError):
        os.killpg(test_runner, signal.SIGKILL)
    while orphans := [c for c in _children() if c != test_runner]:
        for orphan in orphans:
            with suppress(ProcessLookupError, ChildProcessError):
                os.kill(orphan, signal.SIGKILL)
                os.waitpid(orphan, 0)


def _children() -> list[int]:
    with suppress(OSError), open(f"/proc/self/task/{os.getpid()}/children") as file:
        return [int(p) for p in file.read().split()]
    return []
