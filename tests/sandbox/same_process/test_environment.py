"""Built-ins, streams, files and warnings as programs and tests find them."""

import builtins
import subprocess
import sys
import types
import warnings
from pathlib import Path

import pytest

from evoltune.sandbox.same_process import environment


def test_classes_are_those_from_before_and_functions_those_of_now(monkeypatch):
    taken = environment.Builtins(print)
    monkeypatch.setattr(builtins, "ValueError", KeyError)
    monkeypatch.setattr(builtins, "open", len)
    space = {"__builtins__": taken}
    assert eval("ValueError", space) is not KeyError and eval("open", space) is len and taken["__import__"] is print
    with pytest.raises(NameError):
        eval("no_such_name", space)


STREAMS = """
import os, sys
from evoltune.sandbox.same_process.environment import Streams
streams = Streams()
streams.use()
print(sys.stdin.readline().strip(), "\\ud800", chr(233))
print("at once", file=sys.stderr)
assert open(os.dup(1), "w") and not sys.stderr.buffer.closed
before = os.fstat(1)
for stream in (sys.stdin, sys.stdout, sys.stderr):
    stream.close()
assert os.fstat(1) == before and os.fstat(0) and os.fstat(2)
os.write(1, b"still open")
"""


def test_a_program_that_closes_its_streams_leaves_the_descriptors_open():
    done = subprocess.run(
        [sys.executable, "-c", STREAMS], input=b"\xff in\n", capture_output=True, timeout=60, check=False
    )
    assert done.stdout.decode() == "\ufffd in \\ud800 \u00e9\nstill open" and done.stderr == b"at once\n", done


def test_what_is_written_on_the_error_stream_is_there_at_once():
    script = STREAMS.partition("assert")[0] + "os._exit(0)"
    done = subprocess.run([sys.executable, "-c", script], input=b"x\n", capture_output=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == (b"", b"at once\n")


@pytest.mark.parametrize(
    ("tests", "names", "file"),
    [
        ("import importlib, answer\nimportlib.reload(answer)", ["solution", "answer"], "answer"),
        ("import inspect\nassert inspect.getsource(f)", ["task", "answer"], "solution"),
        ("import subprocess, sys\nsubprocess.run([sys.executable, 'main.py'])", ["main", "other"], "main"),
        ("from b import f\nfrom a import g\nprint(__file__)", ["b", "a"], "a"),
    ],
)
def test_a_file_is_written_under_the_name_that_tests_import(tests, names, file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    module = types.ModuleType("solution")
    program = "def f(x):\n    return '\ud800'\n"
    place = environment.write_file(module, program, ["x = 1", tests], names)
    assert place == str(tmp_path / f"{file}.py") and sys.path[0] == str(tmp_path)
    assert Path(place).read_text(encoding="utf-8", errors="surrogatepass") == program
    assert (module.__name__, module.__file__, module.__spec__.name) == (file, place, file)
    assert module.__loader__ is module.__spec__.loader and module.__spec__.origin == place


def test_a_program_is_compiled_without_warnings_and_the_filters_come_back():
    environment.ready_to_compile()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        before = warnings.filters
        assert isinstance(environment.compiled("x = '\\d'\nassert (x, 'y')", "<x>"), types.CodeType)
        with pytest.raises(SyntaxError):
            environment.compiled("x = ", "<x>")
        assert warnings.filters is before
        with pytest.raises(SyntaxError):  # the caller's own filters hold again
            compile("x = '\\d'", "<x>", "exec")


def test_the_tests_future_is_not_the_programs():
    environment.ready_to_compile()
    code = environment.compiled("def f(x: no_such_name): pass", "<named>")
    assert code.co_filename == "<named>"
    with pytest.raises(NameError):
        exec(code, {})
