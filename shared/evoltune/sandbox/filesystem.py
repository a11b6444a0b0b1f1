"""The files that a job sees: a read-only root of system folders with a scratch folder, or a scratch folder of the host.

Invariant: nothing of a user's or a project's files is mounted; whatever a job wrote is gone before the next job.

    root = build_root()                # in a mount namespace of its own
    fresh_scratch()                    # after a job that left files
"""

import itertools
import os
import sys
from collections.abc import Iterator
from contextlib import suppress

from evoltune.sandbox import kernel

SCRATCH_MB = 64
SCRATCH = "/box/tmp"
"""The scratch folder in a root of our own."""
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
_RUN_TIMES = tuple(entry.path for entry in os.scandir("/etc") if entry.name.startswith("java-"))
"""Debian keeps the configuration of its Java here; without it the compiler does not start."""
SHARED_MEMORY = f"{SCRATCH}/.shm"
"""What /dev/shm leads to; it exists only for programs that name semaphores or processes (`programs.offer_shared_memory`)."""
LINKS = {
    "/dev/fd": "/proc/self/fd", "/dev/stdin": "/proc/self/fd/0", "/dev/stdout": "/proc/self/fd/1", "/dev/stderr": "/proc/self/fd/2",
    "/dev/shm": SHARED_MEMORY,
}  # fmt: skip
ETC = ("/etc/ld.so.cache", "/etc/localtime", "/etc/alternatives", "/etc/ld.so.conf", "/etc/ld.so.conf.d", *_RUN_TIMES)
_HOST_SCRATCH_PREFIX = "evoltune-scratch-"
_STATVFS_RELATIME = 4096
_MODULES_WITH_SIDE_EFFECTS = frozenset(
    "antigravity this idlelib lib2to3 pydoc_data tkinter turtle turtledemo test ensurepip msilib".split()
)


def readable_folders() -> list[str]:
    """Folders (and a file) that programs may read: the system's and this Python's, never a project's or a user's."""
    places = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64"]
    interpreter = os.path.dirname(os.path.dirname(os.path.realpath(sys.executable)))
    for prefix in sorted({sys.base_prefix, sys.prefix, interpreter} - {"/", "/usr"}):
        if not prefix.startswith("/usr/"):
            places += [f"{prefix}/{part}" for part in ("bin", "lib", "lib64")]
    places += [f"{sys.prefix}/pyvenv.cfg"]  # by which an interpreter knows its virtual environment
    return [p for p in places if os.path.exists(p)]


# ---- a root of our own


def build_root() -> str:
    """A small root on a tmpfs, read-only but for the scratch folder. Returns its mount point. Raises OSError."""
    kernel.mount("none", "/", "", kernel.MS_REC | kernel.MS_PRIVATE)
    root = "/sys" if os.path.isdir("/sys") else "/mnt"
    kernel.mount("tmpfs", root, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "size=1m,mode=755")
    for path in readable_folders():
        _bind(root, path)
    for path in (*ETC, *DEVICES):
        if os.path.exists(path):
            _bind(root, os.path.realpath(path) if path == "/etc/localtime" else path, at=path)
    for path in ("/proc", "/old", SCRATCH):
        os.makedirs(root + path, exist_ok=True)
    for path, target in LINKS.items():
        os.symlink(target, root + path)
    if not os.path.lexists(f"{root}/tmp"):  # else this Python lies below /tmp, and programs use TMPDIR
        os.symlink(SCRATCH[1:], f"{root}/tmp")
    _mount_scratch(root)
    return root


def _bind(root: str, path: str, at: str = "") -> None:
    """Makes a host path visible in the root, read-only unless it is a device."""
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
    if path in DEVICES:
        return
    flags = os.statvfs(target).f_flag  # a remount must repeat the flags that the host set
    locked = flags & (kernel.MS_NODEV | kernel.MS_NOEXEC | kernel.MS_NOATIME | kernel.MS_NODIRATIME)
    locked |= kernel.MS_RELATIME if flags & _STATVFS_RELATIME else 0
    with suppress(OSError):  # else Landlock and the file's owner still protect it
        read_only = kernel.MS_BIND | kernel.MS_REMOUNT | kernel.MS_RDONLY | kernel.MS_NOSUID
        kernel.mount("none", target, "", read_only | locked)


def _mount_scratch(root: str) -> None:
    options = f"size={SCRATCH_MB}m,nr_inodes=16k,mode=777"
    kernel.mount("tmpfs", root + SCRATCH, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, options)


def fresh_scratch() -> None:
    """Replaces the scratch folder by an empty one: deep or locked folders of a job go with their file system."""
    kernel.detach(SCRATCH)
    _mount_scratch("")


# ---- hosts without namespaces: a scratch folder of the host


def make_host_scratch(uid: int | None) -> str:
    """A scratch folder on the host, owned by `uid` where given."""
    import tempfile  # late: what the zygote imports first stays as small as it can be

    path = tempfile.mkdtemp(prefix=_HOST_SCRATCH_PREFIX)
    tempfile.tempdir = None  # a job looks again, and finds TMPDIR
    if uid is not None:
        os.chown(path, uid, uid)
    return path


def remove_host_scratch(path: str) -> None:
    """Removes a folder of `make_host_scratch`; any other path is left alone."""
    if os.path.basename(path).startswith(_HOST_SCRATCH_PREFIX):
        with suppress(OSError):
            empty_folder(path)
            os.rmdir(path)


def empty_folder(top: str) -> None:
    """Empties a folder without recursion, however deep it is: deep folders are first moved to the top."""
    moved = 0
    while entries := list(os.scandir(top)):
        for entry in entries:
            if not entry.is_dir(follow_symlinks=False):
                os.unlink(entry.path)
                continue
            os.chmod(entry.path, 0o700)
            for inner in list(os.scandir(entry.path)):
                moved += 1
                if inner.is_dir(follow_symlinks=False):
                    os.chmod(inner.path, 0o700)
                os.rename(inner.path, f"{top}/{moved}.moved")
            os.rmdir(entry.path)


def modules_to_preload() -> list[str]:
    """Standard library modules that another user could not import: on a host where a Python below /root is closed to the
    jobs' user, the zygote imports them beforehand. Empty where all may read the library."""
    library = os.path.dirname(os.__file__)
    folders = itertools.accumulate(library.split("/")[1:], "{}/{}".format, initial="")
    if all(os.stat(folder or "/").st_mode & 0o001 for folder in folders):
        return []
    names = sorted(n for n in sys.stdlib_module_names - _MODULES_WITH_SIDE_EFFECTS if not n.startswith("_"))
    return [module for name in names for module in (name, *_submodules(name, f"{library}/{name}"))]


def _submodules(package: str, folder: str) -> Iterator[str]:
    import pkgutil  # late, as above

    for module in pkgutil.iter_modules([folder]):
        if not module.name.startswith(("_", "test")):
            yield f"{package}.{module.name}"
            if module.ispkg:
                yield from _submodules(f"{package}.{module.name}", f"{folder}/{module.name}")
