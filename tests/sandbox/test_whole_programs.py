"""A Python program that is judged by its output does what `python main.py` does: run by both and compared."""

import os
import subprocess
import sys

import pytest

from evoltune.domain import Job
from evoltune.sandbox import languages

PROGRAMS = {
    "argv": "import sys\nprint(sys.argv, len(sys.argv))",
    "environment": "import os\nprint(sorted(k for k in os.environ if 'EVOL' in k.upper()))\nprint(os.environ['PATH'].count('evoltune'))",
    "flags": "import sys\nprint(sys.flags.isolated, sys.flags.no_site, sys.flags.dont_write_bytecode, __name__, __file__.endswith('main.py'))",
    "frames": "import inspect, sys\nprint(len(inspect.stack()), sys._getframe().f_back)",
    "depth": "def f(n):\n    return n and 1 + f(n - 1)\nprint(f(990))",
    "atexit": "import atexit, io, sys\nsys.stdout = io.StringIO()\natexit.register(lambda: sys.__stdout__.write(sys.stdout.getvalue()))\nprint(input())",
    "atexit order": "import atexit\natexit.register(print, 'first')\natexit.register(print, 'second')\nprint('main')",
    "threads outlive the main part": "import threading, time\nthreading.Thread(target=lambda: (time.sleep(0.05), print('late'))).start()\nprint('main')",
    "daemon": "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()\nprint('done')",
    "closed": "import sys\nprint(input())\nsys.stdout.close()",
    "no newline": "import sys\nsys.stdout.write('x')",
    "stderr": "import sys, warnings, logging\nwarnings.warn('w')\nlogging.warning('l')\nprint('x', file=sys.stderr)\nprint('y')",
    "exit text": "import sys\nprint('x')\nsys.exit('a message')",
    "exit none": "print('x')\nexit()",
    "exit true": "import sys\nprint('x')\nsys.exit(True)",
    "exit 256": "import sys\nprint('x')\nsys.exit(256)",
    "os._exit": "import os\nprint('lost')\nos._exit(0)",
    "exit in a thread": "import threading, sys\nt = threading.Thread(target=sys.exit, args=(3,))\nt.start()\nt.join()\nprint('fine')",
    "raise": "print('x')\nraise ValueError('late')",
    "raise in a thread": "import threading\nt = threading.Thread(target=lambda: 1 / 0)\nt.start()\nt.join()\nprint('fine')",
    "raise in atexit": "import atexit\natexit.register(lambda: 1 / 0)\nprint('x')",
    "end of input": "input()\ninput()\ninput()\ninput()",
    "fileinput": "import fileinput\nprint(sum(len(line) for line in fileinput.input()))",
    "dev stdin": "print(open('/dev/stdin').read().upper())",
    "dev fd": "import os\nr, w = os.pipe()\nos.write(w, b'through a pipe')\nos.close(w)\nprint(open(f'/dev/fd/{r}').read())",
    "dev stdout": "open('/dev/stdout', 'w').write('direct\\n')",
    "shared memory": "from multiprocessing import shared_memory\nm = shared_memory.SharedMemory(create=True, size=10)\nm.buf[0] = 7\nprint(m.buf[0])\nm.close()\nm.unlink()",
    "pool": "from multiprocessing import Pool\ndef f(x):\n    return x * x\nif __name__ == '__main__':\n    with Pool(2) as p:\n        print(p.map(f, range(5)))",
    "spawn": "import multiprocessing as m\ndef f(q):\n    q.put(6)\nif __name__ == '__main__':\n    c = m.get_context('spawn')\n    q = c.Queue()\n    p = c.Process(target=f, args=(q,))\n    p.start()\n    print(q.get())\n    p.join()",
    "executor": "from concurrent.futures import ProcessPoolExecutor\ndef f(x):\n    return x + 1\nif __name__ == '__main__':\n    with ProcessPoolExecutor(2) as p:\n        print(list(p.map(f, range(4))))",
    "itself again": "import subprocess, sys\nprint(subprocess.run([sys.executable, '-c', 'print(6 * 7)'], capture_output=True, text=True).stdout)",
    "exec": "import os, sys\nif len(sys.argv) == 1:\n    os.execv(sys.executable, [sys.executable, 'main.py', 'again'])\nprint(sys.argv[1:], input())",
    "numpy": "import numpy as np\nprint(np.arange(4).sum())",
    "seek": "import sys\na = sys.stdin.read()\nsys.stdin.seek(0)\nprint(a == sys.stdin.read())",
    "isatty": "import sys\nprint(sys.stdin.isatty(), sys.stdout.isatty())",
    "fileno": "import os\nos.write(1, os.read(0, 100))",
    "flush order": "import os, sys\nsys.stdout.write('a')\nsys.stdout.flush()\nos.write(1, b'b')\nprint('c')",
    "encoding": "import sys\nprint(sys.stdout.encoding, sys.stdin.encoding, 'é✓')",
    "surrogate": "print('\\udc80')",
    "signal": "import os, signal\nsignal.signal(signal.SIGUSR1, lambda *a: print('got it'))\nos.kill(os.getpid(), signal.SIGUSR1)\nprint('on')",
    "killed": "import os, signal\nprint('x', flush=True)\nos.kill(os.getpid(), signal.SIGTERM)",
    "broken": "def f(:\n    pass",
    "tabs": "if True:\n        a = 1\n\tb = 2\nprint(1)",
    "main module": "import __main__, sys\nx = 5\nprint(__main__.x, sys.modules['__main__'] is __main__)",
    "pickle": "import pickle\nclass P:\n    pass\nprint(type(pickle.loads(pickle.dumps(P()))).__module__)",
    "get source": "import inspect\ndef f():\n    return 1\nprint(inspect.getsource(f))",
    "recursion limit": "import sys, threading\nsys.setrecursionlimit(10**6)\nthreading.stack_size(128 << 20)\ndef f(n):\n    return n and 1 + f(n - 1)\nt = threading.Thread(target=lambda: print(f(50000)))\nt.start()\nt.join()",
}  # fmt: skip
STDIN = "one\ntwo\nthree\n"
SLOW = ("spawn", "executor", "numpy", "recursion limit", "pool", "itself again")


def by_python(program, folder):
    """(whether python exits with 0, what it prints)."""
    (folder / "main.py").write_bytes(program.encode("utf-8", "surrogatepass"))
    environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": str(folder)}
    ran = subprocess.run(
        [sys.executable, "main.py"], cwd=folder, input=STDIN.encode(), capture_output=True, env=environment, timeout=60
    )
    return ran.returncode == 0, ran.stdout.decode("utf-8", "replace")


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in PROGRAMS])
def test_the_verdict_is_that_of_the_interpreter(run, tmp_path, name):
    passes, printed = by_python(PROGRAMS[name], tmp_path)
    tests = ({"stdio": [[STDIN, printed]]}, {"stdio": [[STDIN, printed + "x"]]})
    right, wrong = run(*(Job(program=PROGRAMS[name], tests=t, cpu_s=5) for t in tests))
    assert (right.status == "pass") == passes, (right, printed)
    assert wrong.status == "fail"


def test_standard_error_is_kept_apart_in_the_evidence(one):
    verdict = one("import sys\nprint('out')\nprint('err', file=sys.stderr)", {"stdio": [["", "out"]]})
    assert verdict.status == "pass" and verdict.evidence["stderr"] == "err\n"
    verdict = one("import sys\nprint('err', file=sys.stderr)", {"stdio": [["", "err"]]})
    assert (verdict.status, verdict.evidence["stdout"], verdict.evidence["stderr"]) == ("fail", "", "err\n")


def test_a_flood_on_standard_error_hurts_nobody(one):
    verdict = one(
        "import sys\nfor _ in range(3000):\n    sys.stderr.write('e' * 1000)\nprint(1)", {"stdio": [["", "1"]]}, cpu_s=5
    )
    assert verdict.status == "pass" and len(verdict.evidence["stderr"]) == 2000


def test_a_process_that_the_program_leaves_behind_is_not_waited_for(one):
    program = "import os, time\nif os.fork() == 0:\n    time.sleep(3600)\nprint(1)"
    assert one(program, {"stdio": [["", "1"], ["", "1"]]}).status == "pass"


COUNTS = {
    "a file": "n = len(open('n').read()) if os.path.exists('n') else 0\nopen('n', 'a').write('x')",
    "a hidden file in a locked folder": (
        "if os.path.isdir('.d'): os.chmod('.d', 0o700)\nos.makedirs('.d', exist_ok=True)\nn = len(os.listdir('.d'))\n"
        "open(f'.d/{n}', 'w').close(); os.chmod('.d', 0)"
    ),
    "its own source": "n = open('main.py').read().endswith('#x\\n')\nopen('main.py', 'a').write('#x\\n')",
    "its own source, its times kept": (
        "s = os.stat('main.py'); text = open('main.py').read(); n = int(text[-2])\n"
        "open('main.py', 'w').write(text[:-2] + f'{n + 1}\\n'); os.utime('main.py', ns=(s.st_atime_ns, s.st_mtime_ns))"
    ),
    "a file beside the folder": (
        "p = os.path.join(tempfile.gettempdir(), 'n'); n = len(open(p).read()) if os.path.exists(p) else 0\nopen(p, 'a').write('x')"
    ),
    "a folder deeper than a path": (
        "n = 0\nwhile os.path.isdir('d'): os.chdir('d'); n += 1\nn //= 1500\n"
        "for _ in range(1500): os.mkdir('d'); os.chdir('d')"
    ),
    "a process": (
        "n = len(open('n').read()) if os.path.exists('n') else 0\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork() == 0:\n"
        "        while True: open('n', 'a').write('x'); time.sleep(0.001)\n"
        "    os._exit(0)\n"
        "time.sleep(0.05)"
    ),
}  # fmt: skip


@pytest.mark.parametrize("way", COUNTS)
def test_a_program_cannot_count_its_runs(one, way):
    program = f"import os, tempfile, time\n{COUNTS[way]}\nprint(bool(n))\n#0\n"
    verdict = one(program, {"stdio": [["", "False"], ["", "False"], ["", "False"]]})
    assert verdict.status == "pass", verdict


def test_a_compiled_program_that_removes_itself_is_there_again_in_the_next_run(one):
    program = (
        '#include <cstdio>\n#include <unistd.h>\nint main() { std::FILE *f = std::fopen("n", "r"); std::puts(f ? "again" : "first");'
        ' f = std::fopen("n", "w"); std::fclose(f); return unlink("main"); }'
    )
    verdict = one(program, {"stdio": [["", "first"]] * 3}, language="cpp", cpu_s=5)
    assert verdict.status == "pass", verdict


def test_other_processes_are_out_of_sight(one):
    program = (
        "import os\n"
        "def tried(path):\n    try:\n        return os.listdir(path) if path.endswith('/') else open(path, 'rb').read(9)\n"
        "    except OSError:\n        return None\n"
        "print([p for p in ['/proc/', '/proc/1/', '/proc/self/fd/', '/proc/self/maps', f'/proc/{os.getppid()}/mem',"
        " f'/proc/{os.getppid()}/fd/3', '/proc/self/environ', '/proc/1/root/etc/passwd'] if tried(p) is not None])"
    )  # fmt: skip
    verdict = one(program, {"stdio": [["", "[]"]]})
    if verdict.evidence["isolation"] < "L2":
        pytest.skip("not run: this host has no Landlock")
    assert verdict.status == "pass", verdict


def test_running_out_of_memory_is_told_from_failing(one):
    program = "x = []\nwhile True:\n    x.append(bytearray(1 << 24))"
    assert one(program, {"stdio": [["", ""]]}, cpu_s=10.0).status == "memory"


@pytest.mark.parametrize(
    ("program", "status"),
    [("import os\nwhile True:\n    os.write(1, b'1\\n' * 32768)", "timeout"), ("print('1' * (20 << 20))", "fail")],
)
def test_output_without_end_is_told_from_much_output(one, program, status):
    verdict = one(program, {"stdio": [["", "1"]]}, cpu_s=30)
    assert verdict.status == status and "retried" not in verdict.evidence
    assert ("still printing after 64 MB" in verdict.reason) == (status == "timeout")


def test_a_tool_that_programs_would_not_see_is_missing(tmp_path, monkeypatch):
    (tmp_path / "node").write_text("#!/bin/sh\n")
    (tmp_path / "node").chmod(0o755)
    monkeypatch.setitem(languages.ENVIRONMENT, "PATH", str(tmp_path))
    assert languages.missing("javascript").startswith(
        f"language 'javascript' needs node, which is in none of {tmp_path} "
    )
    assert languages.missing("python") == ""
