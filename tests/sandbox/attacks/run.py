"""Runs the published attack programs on one rung of the ladder and prints what came of them, as JSON.

    python tests/sandbox/attacks/run.py --level L3 [--quick]

Each program may read, write, connect and kill around it: canary files, a listening port and a marked name tell whether
one reached anything. Runs itself in a session with limits on file size and time; the caller kills the session.
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
QUICK_OF_SLOW = (
    "time-loop",
    "time-signals-off",
    "time-flood",
    "memory-one",
    "memory-huge-result",
    "memory-memfd",
)


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
    pool = Pool(
        WorkerConfig(domain="", require="L0", at_most=args.level, program_s=1.0, memory_mb=512), args.workers
    )
    rows = programs(args.quick, pool.level)
    futures = []
    for row in rows:
        text = (
            row["program"]
            .replace("@CANARY@", str(folder))
            .replace("@PORT@", str(port))
            .replace("@MARK@", mark)
        )
        futures.append(pool.submit("jobs", [[Job(program=text, tests=TESTS, entry_point="f")]]))
    verdicts = [future.result(300)[0] for future in futures]
    pool.close()
    said = {
        row["id"]: v[0] if isinstance(v, list) else ["error", str(v), 0, {}]
        for row, v in zip(rows, verdicts, strict=True)
    }
    wrong = {
        row["id"]: said[row["id"]][:2]
        for row in rows
        if (row["expected"] == "pass") != (said[row["id"]][0] == "pass") and row["expected"] != "any"
    }
    after = sorted(str(p.relative_to(folder)) for p in folder.rglob("*"))
    left = [str(p) for d in ("/tmp", "/dev/shm") for p in Path(d).glob(f"*{mark}*")]
    report = {
        "level": pool.level,
        "programs": len(rows),
        "wrong": wrong,
        "errors": {k: v[1] for k, v in said.items() if v[0] == "error"},
        "harm": {
            "canary": sorted(set(before) ^ set(after)),
            "connections": len(hits),
            "processes": marked_processes(mark),
            "files": left,
            "scratch": [str(p) for p in Path(tempfile.gettempdir()).glob("evoltune-scratch-*")],
        },
    }
    shutil.rmtree(folder)
    print(json.dumps(report, indent=1))
    sys.exit(bool(wrong or any(report["harm"].values())))


if __name__ == "__main__":
    main()
