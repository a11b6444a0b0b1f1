"""Agreement with `python -m pytest` and `python -m unittest`: small test files that need something of a runner, judged by both.

    python benchmarks/test_runners.py [--only NAME]

Each file of `tests/fixtures/runner_features.py` is judged as it is, with a change to it, and with a broken program. Verdicts other
than pass and fail count as a difference where the runner says pass.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests/fixtures"))
from runner_features import files

from evoltune.verification.checker import open_checker
from evoltune.verification.rows import verify_rows


def plainly(runner: str, program: str, tests: str) -> str:
    """What the runner itself says of the two files."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "solution.py").write_text(program)
        source = tests if "import solution" in tests else f"import solution\nfrom solution import *\n{tests}"
        Path(folder, "test_solution.py").write_text(source)
        command = [sys.executable, "-m", runner, *(["-q", "-p", "no:cacheprovider"] if runner == "pytest" else [])]
        done = subprocess.run([*command, "test_solution.py"], cwd=folder, capture_output=True, timeout=60)
        return "pass" if done.returncode == 0 else "fail"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="")
    args = parser.parse_args()
    found = {name: file for name, file in files() if args.only in name}
    with ThreadPoolExecutor(2) as threads:
        expected = dict(zip(found, threads.map(lambda file: plainly(*file), found.values()), strict=True))
    with open_checker("code", workers=1, cache=False) as checker:
        rows = ({"answer": p, "tests": t, "entry_point": "f"} for _, p, t in found.values())
        got = dict(zip(found, verify_rows(checker, rows), strict=True))
    differ = [name for name, row in got.items() if (row["status"] == "pass") != (expected[name] == "pass")]
    for name in differ:
        print(f"{name}: {expected[name]}, ours {got[name]['status']}: {got[name]['reason'][:150]}")
    print(f"{len(found)} files, {sum(s == 'pass' for s in expected.values())} pass: {len(found) - len(differ)} agree")


if __name__ == "__main__":
    main()
