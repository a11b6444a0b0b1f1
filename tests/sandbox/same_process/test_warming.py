"""What is done before there is a job leaves little for the processes that are forked for jobs."""

import subprocess
import sys

WARMED = """
import gc
from evoltune.sandbox.same_process import private
warming = private.load(private.PACKAGE + ".warming")
warming.TIMES = 2
warming.warm_up()
gc.collect()
kinds = [type(found).__name__ for found in gc.get_objects()]
print(kinds.count("Run"), kinds.count("Libraries"), kinds.count("TestSpace"))
"""


def test_no_harmless_job_is_left():
    done = subprocess.run([sys.executable, "-c", WARMED], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.split() == ["0", "0", "0"], done


def test_a_fork_holds_no_module_that_only_some_jobs_need(one):
    program = "import sys\nLOADED = {*sys.modules}\ndef f(names):\n    return sorted(LOADED & {*names})"
    late = [
        "zlib",
        "bz2",
        "lzma",
        "tempfile",
        "shutil",
        "difflib",
        "unittest",
        "asyncio",
        "hashlib",
        "subprocess",
        "pathlib",
        "urllib",
        "platform",
        "pkgutil",
    ]
    tests = f"assert f(['json', *{late}]) == ['json']\n"
    for more in ("", "class Own: pass\nassert isinstance(Own(), Own)\n"):
        verdict = one(program, tests + more)
        assert verdict.status == "pass", verdict
