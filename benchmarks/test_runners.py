"""Agreement with `python -m pytest` and `python -m unittest`: small test files that need something of a runner, judged by both.

    python benchmarks/test_runners.py [--only NAME]

Each file of `tests/fixtures/runner_features.py` is judged as it is, with a change to it, and with a broken program. Verdicts other
than pass and fail count as a difference where the runner says pass.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import unittest
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "tests/fixtures"))
from runner_features import files

from evoltune.verification.checker import open_checker
from evoltune.verification.rows import verify_rows


def plainly(runner: str, program: str, tests: str) -> str:
    """What the runner itself says of the two files: in a child, for importing pytest takes longer than running most files."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "solution.py").write_text(program)
        source = tests if "import solution" in tests else f"import solution\nfrom solution import *\n{tests}"
        Path(folder, "test_solution.py").write_text(source)
        child = os.fork()
        if child == 0:
            os.chdir(folder)
            sys.path.insert(0, folder)
            sys.argv = [runner]
            os.dup2(os.open(os.devnull, os.O_RDWR), 1)
            os.dup2(1, 2)
            status = 1
            try:
                status = run(runner)
            finally:
                os._exit(status)
        return "pass" if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0 else "fail"


def run(runner: str) -> int:
    """The exit status of the runner on the file in the current folder."""
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    if runner == "pytest":
        return int(pytest.main(["-q", "-p", "no:cacheprovider", "test_solution.py"]))
    result = unittest.main("test_solution", argv=["unittest"], exit=False).result
    return int(not result.wasSuccessful() or not result.testsRun)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="")
    args = parser.parse_args()
    found = {name: file for name, file in files() if args.only in name}
    expected = {name: plainly(*file) for name, file in found.items()}
    with open_checker("code", workers=1, cache=False) as checker:
        rows = ({"answer": p, "tests": t, "entry_point": "f"} for _, p, t in found.values())
        got = dict(zip(found, verify_rows(checker, rows), strict=True))
    differ = [name for name, row in got.items() if (row["status"] == "pass") != (expected[name] == "pass")]
    for name in differ:
        print(f"{name}: {expected[name]}, ours {got[name]['status']}: {got[name]['reason'][:150]}")
    print(f"{len(found)} files, {sum(s == 'pass' for s in expected.values())} pass: {len(found) - len(differ)} agree")


if __name__ == "__main__":
    main()
