"""What holds a job: namespaces and a root of its own, Landlock, seccomp, another user; as much as the host gives.

    L3  namespaces (user where needed, mount, net, ipc, uts, pid per job) + Landlock + seccomp + limits
    L2  Landlock + seccomp + limits                       (hosts that forbid user namespaces)
    L1  seccomp + limits, and another user when started as root
    L0  limits and a process group                        (opt-in only)

Invariant: `enter` reports the level that it really reached and the reason for each rung that it missed.
"""

# Descriptors and forked processes: os, not pathlib.
# ruff: noqa: PTH101, PTH103, PTH104, PTH106, PTH108, PTH110, PTH112, PTH114, PTH115, PTH116, PTH119, PTH120, PTH208, PTH211
from __future__ import annotations

import os
import pkgutil
import platform
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from evoltune.sandbox import kernel, limits, seccomp

SCRATCH_MB = 64
_BOX = "/box/tmp"
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
_ETC = ("/etc/ld.so.cache", "/etc/localtime", "/etc/alternatives", "/etc/ld.so.conf", "/etc/ld.so.conf.d")
_OWN_CORES = seccomp.own_cores(platform.machine())
_REMEDY = (
    "user namespaces may be off: sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone=1, "
    "kernel.apparmor_restrict_unprivileged_userns=0; in Docker: --security-opt seccomp=unconfined, or --privileged"
)


@dataclass(frozen=True, kw_only=True)
class Cell:
    """What the zygote sits in."""

    level: str
    lacks: tuple[str, ...]
    namespaces: bool
    landlock: bool
    seccomp: bool
    uid: int | None
    """The user that jobs become; None: they stay who they are."""
    scratch: str
    root: str = ""


def enter(at_most: str) -> Cell:
    """Namespaces first, then a look at what else there is. Called in the process that becomes Z's parent."""
    lacks: list[str] = []
    namespaces, uid, root = False, None, ""
    if at_most == "L3":
        own = os.open("/proc/self/ns/pid", os.O_RDONLY)
        try:
            uid = _unshare()
            root = _build_root()
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
    landlock = at_most >= "L2" and kernel.landlock_abi() > 0
    filtered = at_most >= "L1" and seccomp.supported()
    if not landlock:
        lacks.append("Landlock (Linux 5.13 or later with `landlock` in the `lsm=` boot parameter)")
    if not filtered:
        lacks.append(f"seccomp (x86_64 or aarch64 Linux, not {platform.machine()})")
    level = (
        "L3"
        if namespaces and landlock and filtered
        else "L2"
        if landlock and filtered
        else "L1"
        if filtered
        else "L0"
    )
    scratch = "/box/tmp" if namespaces else _host_scratch(uid)
    return Cell(
        level=level, lacks=tuple(lacks), namespaces=namespaces, landlock=landlock, seccomp=filtered,
        uid=uid, scratch=scratch, root=root,
    )  # fmt: skip


def refusal(level: str, required: str, lacks: str) -> str:
    """One line for the user: what was asked, what there is, how to mend it."""
    return f"verify.sandbox.require: {required} is asked, this host gives {level or 'nothing'}; it lacks: {lacks or 'Linux'}"


def _job_uid() -> int:
    """A user per worker, so that one worker's thread bomb does not use up another's allowance. Below 65536: containers
    map no more."""
    return 61184 + os.getpid() % 4000


def _unshare() -> int | None:
    flags = kernel.NEWNS | kernel.NEWNET | kernel.NEWIPC | kernel.NEWUTS | kernel.NEWPID
    if os.geteuid() == 0:
        try:
            kernel.unshare(flags)
            return _job_uid()
        except PermissionError:  # root of a container without CAP_SYS_ADMIN: as an ordinary user, then
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


# ---- files


def _visible() -> list[str]:
    """Folders that programs may read: the system's and this Python's; never a project's or a user's."""
    places = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64"]
    prefixes = {
        sys.base_prefix,
        sys.prefix,
        os.path.dirname(os.path.dirname(os.path.realpath(sys.executable))),
    }
    for prefix in sorted(prefixes - {"/", "/usr"}):
        if not prefix.startswith("/usr/"):
            places += [f"{prefix}/{part}" for part in ("bin", "lib", "lib64")]
    return [p for p in places if os.path.exists(p)]


def _build_root() -> str:
    """A small root on a tmpfs, everything in it read-only but the scratch. Returns where it is mounted."""
    kernel.mount("none", "/", "", kernel.MS_REC | kernel.MS_PRIVATE)
    root = "/sys" if os.path.isdir("/sys") else "/mnt"
    kernel.mount("tmpfs", root, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "size=1m,mode=755")
    for path in _visible():
        _show(root, path)
    for path in (*_ETC, *_DEVICES):
        if os.path.exists(path):
            _show(root, os.path.realpath(path) if path == "/etc/localtime" else path, at=path)
    for path in ("/proc", "/old", "/box/tmp"):
        os.makedirs(root + path, exist_ok=True)
    if not os.path.lexists(f"{root}/tmp"):  # else this Python lies below /tmp, and programs use TMPDIR
        os.symlink("box/tmp", f"{root}/tmp")
    fresh_scratch(root, first=True)
    return root


def _show(root: str, path: str, at: str = "") -> None:
    target = root + (at or path)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if os.path.islink(path) and not at:  # /bin -> usr/bin
        os.symlink(os.readlink(path), target)
        return
    if os.path.isdir(path):
        os.makedirs(target, exist_ok=True)
    else:
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))
    kernel.mount(path, target, "", kernel.MS_BIND | kernel.MS_REC)
    if path in _DEVICES:
        return
    flags = os.statvfs(target).f_flag
    kept = flags & (kernel.MS_NODEV | kernel.MS_NOEXEC | 1024 | 2048) | ((1 << 21) if flags & 4096 else 0)
    with suppress(OSError):  # else Landlock and the file's owner still stand
        kernel.mount(
            "none",
            target,
            "",
            kernel.MS_BIND | kernel.MS_REMOUNT | kernel.MS_RDONLY | kernel.MS_NOSUID | kept,
        )


def fresh_scratch(root: str = "", first: bool = False) -> None:
    """An empty scratch: whatever a job left (deep folders, closed ones) goes with its file system."""
    if not first:
        kernel.detach(root + _BOX)
    kernel.mount(
        "tmpfs",
        root + _BOX,
        "tmpfs",
        kernel.MS_NOSUID | kernel.MS_NODEV,
        f"size={SCRATCH_MB}m,nr_inodes=16k,mode=777",
    )


def enclose(cell: Cell) -> tuple[int, int]:
    """In Z: own pid namespace and a private /proc as descriptors (-1: none), then the new root."""
    if cell.uid is not None:
        os.setgroups([])
        os.setresgid(cell.uid, cell.uid, cell.uid)
    if not cell.namespaces:
        kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)
        return -1, os.open("/proc", os.O_RDONLY)
    own = os.open("/proc/self/ns/pid", os.O_RDONLY)
    kernel.prctl(kernel.PR_SET_DUMPABLE, 0)  # a job's memory and descriptors are nobody's to open
    proc = -1
    with suppress(OSError):  # a container that masks parts of /proc forbids a whole one
        kernel.mount(
            "proc", f"{cell.root}/proc", "proc", kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC
        )
        proc = os.open(f"{cell.root}/proc", os.O_RDONLY)
        kernel.detach(f"{cell.root}/proc")
    kernel.pivot(cell.root)
    with suppress(OSError):
        kernel.mount(
            "none",
            "/",
            "",
            kernel.MS_BIND | kernel.MS_REMOUNT | kernel.MS_RDONLY | kernel.MS_NOSUID | kernel.MS_NODEV,
        )
    return own, proc


def harden(cell: Cell, proc: int = -1) -> None:
    """Landlock and seccomp: once in Z where namespaces hold signals, else in each judge."""
    if cell.level == "L0":
        return
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    if cell.landlock:
        kernel.landlock(
            [*_visible(), *_ETC], [os.path.dirname(_BOX) if cell.namespaces else cell.scratch], _DEVICES, proc
        )
    if cell.seccomp:
        seccomp.install(seccomp.program(platform.machine(), zygote=cell.namespaces))


def become_nobody(cell: Cell) -> None:
    """In a judge: no privilege is left, whoever we were."""
    os.setsid()
    if cell.uid is not None:
        os.setresuid(cell.uid, cell.uid, cell.uid)
    elif cell.namespaces:
        kernel.drop_capabilities()
    if cell.namespaces and cell.seccomp:
        seccomp.install(_OWN_CORES)
    if not cell.namespaces:
        kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
        harden(cell)
        limits.without_namespaces(cell.seccomp)


def allowed_processes(cell: Cell, wanted: int) -> int:
    """RLIMIT_NPROC for a job: outside of a user namespace it counts everything that this user runs."""
    if cell.uid is not None or cell.namespaces:
        return wanted
    count = 0
    for name in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError):
            if os.stat(f"/proc/{name}").st_uid == os.getuid():
                count += len(os.listdir(f"/proc/{name}/task"))
    return count + 128 + wanted


def out_of_reach(cell: Cell) -> list[str]:
    """Standard library modules that a job could not import any more: without a root of its own, as another user, it
    cannot read a Python below /root. The zygote imports them before."""
    library = os.path.dirname(os.__file__)
    if cell.namespaces or cell.uid is None or _readable_by_all(library):
        return []
    noisy = {
        "antigravity",
        "this",
        "idlelib",
        "lib2to3",
        "pydoc_data",
        "tkinter",
        "turtle",
        "turtledemo",
        "test",
        "ensurepip",
        "msilib",
    }
    names = sorted(n for n in sys.stdlib_module_names - noisy if not n.startswith("_"))
    return [module for name in names for module in (name, *_submodules(name, f"{library}/{name}"))]


def _submodules(package: str, folder: str) -> Iterator[str]:
    for module in pkgutil.iter_modules([folder]):
        if not module.name.startswith(("_", "test")):
            yield f"{package}.{module.name}"
            if module.ispkg:
                yield from _submodules(f"{package}.{module.name}", f"{folder}/{module.name}")


def _readable_by_all(path: str) -> bool:
    while path != "/":
        if not os.stat(path).st_mode & 0o001:
            return False
        path = os.path.dirname(path)
    return True


# ---- hosts without namespaces: a scratch folder on the host, and processes to find


def _host_scratch(uid: int | None) -> str:
    import tempfile

    path = tempfile.mkdtemp(prefix="evoltune-scratch-")
    tempfile.tempdir = None  # a job looks again, and finds TMPDIR
    if uid is not None:
        os.chown(path, uid, uid)
    return path


def empty(top: str) -> None:
    """Empties a folder without recursion: what lies deep is first lifted to the top."""
    lifted = 0
    while entries := list(os.scandir(top)):
        for entry in entries:
            if not entry.is_dir(follow_symlinks=False):
                os.unlink(entry.path)
                continue
            os.chmod(entry.path, 0o700)
            for inner in list(os.scandir(entry.path)):
                lifted += 1
                if inner.is_dir(follow_symlinks=False):
                    os.chmod(inner.path, 0o700)
                os.rename(inner.path, f"{top}/{lifted}.lifted")
            os.rmdir(entry.path)


def remove_scratch(path: str) -> None:
    """Only ever a folder that `_host_scratch` made."""
    if os.path.basename(path).startswith("evoltune-scratch-"):
        with suppress(OSError):
            empty(path)
            os.rmdir(path)


def sweep(judge: int) -> None:
    """Kills all that the judge left: its process group, and what fled from it to us."""
    with suppress(ProcessLookupError):
        os.killpg(judge, signal.SIGKILL)
    while strays := [c for c in _children() if c != judge]:
        for stray in strays:
            with suppress(ProcessLookupError, ChildProcessError):
                os.kill(stray, signal.SIGKILL)
                os.waitpid(stray, 0)


def _children() -> list[int]:
    with suppress(OSError), open(f"/proc/self/task/{os.getpid()}/children") as file:
        return [int(p) for p in file.read().split()]
    return []
