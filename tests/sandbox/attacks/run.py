"""Runs the published attack programs at one isolation level and prints what came of them, as JSON.

    python tests/sandbox/attacks/run.py --level L3 [--quick]

Each program of programs.json names the statuses that it may get (`expected`, "any": whichever) and the level from
which it is held. Each may read, write, connect and kill around it: canary files, a listening port and a marked name tell
whether one reached anything. Runs in a session of its own with a limit on file size; the caller kills the session.
"""

import argparse
import json
import os
import resource
import shutil
import socket
import sys
import tempfile
import threading
from pathlib import Path

from evoltune.domain import Job
from evoltune.sandbox.pool import Pool
from evoltune.sandbox.worker_protocol import WorkerConfig

TESTS = "def check(candidate):\n    assert candidate(1, 2) == 3\n    assert candidate(10, -4) == 6\n"
SLOW_KINDS = ("time", "memory")
QUICK_OF_SLOW = "time-loop time-signals-off time-flood memory-one memory-huge-result memory-memfd".split()


def programs(quick: bool, level: str) -> list[dict]:
    rows = json.loads((Path(__file__).parent / "programs.json").read_text())
    rows = [r for r in rows if r["holds_from"] <= level]
    return [r for r in rows if not quick or r["kind"] not in SLOW_KINDS or r["id"] in QUICK_OF_SLOW]


def canary() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="evoltune-canary-"))
    (folder / "tree").mkdir()
    for name in ("secret.txt", "victim", "tree/x"):
        (folder / name).write_text("here")
    folder.chmod(0o755)
    return folder


def listen() -> tuple[int, list]:
    hits: list = []
    server = socket.socket()
    server.bind(("127.0.0.1", 0))
    server.listen()

    def accept():
        while True:
            hits.append(server.accept())

    threading.Thread(target=accept, daemon=True).start()
    return server.getsockname()[1], hits


def marked_processes(mark: str) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if mark.encode() in path.read_bytes() and int(path.parent.name) != os.getpid():
                found.append(path.parent.name)
        except OSError:
            continue
    return found


def verdicts_on(rows: list[dict], pool: Pool, places: dict[str, str]) -> dict[str, list[str]]:
    """[status, reason] by program."""
    futures = {}
    for row in rows:
        text = row["program"]
        for placeholder, place in places.items():
            text = text.replace(placeholder, place)
        job = Job(program=text, tests=TESTS, entry_point="f")
        futures[row["id"]] = pool.submit("jobs", [[job]])
    results = {name: future.result(300)[0] for name, future in futures.items()}
    return {k: v[0][:2] if isinstance(v, list) else ["error", str(v)] for k, v in results.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--level", default="L3")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 30, 1 << 30))
    os.environ["EVOLTUNE_TEST_SECRET"] = "secret"
    folder, (port, hits), mark = canary(), listen(), f"mark{os.getpid()}"
    before = sorted(str(p.relative_to(folder)) for p in folder.rglob("*"))
    config = WorkerConfig(domain="", require="L0", at_most=args.level, program_s=1.0, memory_mb=512)
    pool = Pool(config, args.workers)
    rows = programs(args.quick, pool.level)
    found = verdicts_on(rows, pool, {"@CANARY@": str(folder), "@PORT@": str(port), "@MARK@": mark})
    pool.close()
    wrong = {
        row["id"]: found[row["id"]]
        for row in rows
        if row["expected"] != "any" and found[row["id"]][0] not in row["expected"].split("|")
    }
    after = sorted(str(p.relative_to(folder)) for p in folder.rglob("*"))
    harm = {
        "canary": sorted(set(before) ^ set(after)),
        "connections": len(hits),
        "processes": marked_processes(mark),
        "files": [str(p) for d in ("/tmp", "/dev/shm") for p in Path(d).glob(f"*{mark}*")],
        "scratch": [str(p) for p in Path(tempfile.gettempdir()).glob("evoltune-scratch-*")],
    }
    shutil.rmtree(folder)
    statuses = {name: status for name, (status, _) in found.items()}
    report = {"level": pool.level, "programs": len(rows), "wrong": wrong, "harm": harm, "statuses": statuses}
    print(json.dumps(report, indent=1))
    sys.exit(bool(wrong or any(harm.values())))


if __name__ == "__main__":
    main()
