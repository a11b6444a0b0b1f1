"""Verdicts do not depend on what the driver's process ignores, blocks, allows or has open: all of it is handed on."""

import subprocess
import sys
import textwrap

import pytest

JUDGE = """

from evoltune.domain import Job
from evoltune.sandbox.pool import Pool
from evoltune.sandbox.worker_protocol import WorkerConfig

PROGRAMS = {
    "right": "def f():\\n    return 1\\n",
    "wrong": "def f():\\n    return 2\\n",
    "loops": "def f():\\n    while True: pass\\n",
    "loops on import": "while True: pass\\n",
    "ends a child": "import subprocess\\ndef f():\\n    child = subprocess.Popen(['sleep', '9'])\\n    child.terminate()\\n    return -child.wait() // 15\\n",
    "writes a file": "def f():\\n    open('a', 'w').close()\\n    return open('a').read() == '' and 1\\n",
}
if __name__ == "__main__":
    pool = Pool(WorkerConfig(domain="", program_s=1.0), workers=1)
    jobs = [Job(program=p, tests="assert f() == 1", entry_point="f", cpu_s=0.5) for p in PROGRAMS.values()]
    print(*(row[0] for row in pool.submit("jobs", [jobs]).result()[0]))
    pool.close()
"""
WAYS = {
    "nothing": "",
    "children are not waited for": "signal.signal(signal.SIGCHLD, signal.SIG_IGN)",
    "timers are ignored": "for n in (signal.SIGPROF, signal.SIGALRM, signal.SIGXCPU, signal.SIGTERM): signal.signal(n, signal.SIG_IGN)",
    "signals are blocked": "signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals() - {signal.SIGINT})",
    "files are private": "os.umask(0o077)",
    "files are nobody's": "os.umask(0o777)",
    "many files are open": """
        resource.setrlimit(resource.RLIMIT_NOFILE, (4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        held = [os.open('/dev/null', os.O_RDONLY) for _ in range(1500)]
    """,
    "few files may be opened": "resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))",
}


@pytest.mark.parametrize("way", WAYS)
def test_verdicts_do_not_depend_on_what_the_driver_hands_on(way):
    source = f"import os, resource, signal\n{textwrap.dedent(WAYS[way])}\n{JUDGE}"
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=100)
    assert done.stdout.split() == ["pass", "fail", "timeout", "timeout", "pass", "pass"], done.stderr[-2000:]
