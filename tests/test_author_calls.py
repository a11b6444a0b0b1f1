"""Calls of an author's functions: whatever they do besides coming back is told in their name, and the process goes on."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from evoltune import author_calls
from evoltune.author_calls import author_call
from evoltune.domain import Domain, seeds_of
from evoltune.errors import DataError, DomainError
from evoltune.record import Verdict
from evoltune.terminal import SafeStream


def endless() -> None:
    while True:
        pass


def chdir() -> None:
    os.chdir("/")


@pytest.mark.parametrize(
    ("function", "did"),
    [
        (lambda: 1 / 0, "raised ZeroDivisionError"),
        (lambda: sys.exit(0), r"called sys\.exit\(0\)"),
        (lambda: sys.exit(), r"called sys\.exit\(\)"),
        (lambda: os._exit(0), r"called os\._exit\(0\)"),
        (chdir, "changed the working directory to '/'"),
        (endless, "does not end"),
    ],
)
def test_what_a_function_does_instead_of_coming_back_is_an_error_in_its_name(function, did, monkeypatch):
    monkeypatch.setattr(author_calls, "SLOW_S", 0.02)
    monkeypatch.setattr(author_calls, "ENDLESS_S", 0.04)
    folder, alarm = Path.cwd(), signal.getsignal(signal.SIGALRM)
    with pytest.raises(DomainError, match=f"^domain 'sums': seeds {did}"), author_call("domain 'sums': seeds"):
        function()
    assert (Path.cwd(), signal.getsignal(signal.SIGALRM)) == (folder, alarm)
    assert not author_calls.is_inside() and signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_a_call_inside_another_leaves_its_clock_running(monkeypatch):
    monkeypatch.setattr(author_calls, "SLOW_S", 0.02)
    monkeypatch.setattr(author_calls, "ENDLESS_S", 0.04)
    with pytest.raises(DomainError, match=r"^outer does not end"), author_call("outer"):
        with author_call("inner"):
            pass
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            pass


def test_what_takes_long_is_said_and_comes_back(monkeypatch, capsys):
    monkeypatch.setattr(author_calls, "SLOW_S", 0.02)
    with author_call("domain 'sums': seeds"):
        threading.Event().wait(0.05)
    assert "domain 'sums': seeds has been at work for" in capsys.readouterr().err


def test_errors_of_ours_and_a_wish_of_the_user_pass_through():
    for error in (DataError("seeds.jsonl:3: no instruction"), KeyboardInterrupt()):
        with pytest.raises(type(error)) as raised, author_call("seeds"):
            raise error
        assert raised.value is error


def test_a_forked_child_that_comes_back_ends_there_and_one_that_ends_itself_is_left_alone(capfd):
    with (
        pytest.raises(DomainError, match=r"seeds forked, and its child [0-9]+ did not end"),
        author_call("domain 'sums': seeds"),
    ):
        os.fork()
    assert capfd.readouterr().err.count("domain 'sums': seeds forked, and its child came back too") == 1
    with author_call("domain 'sums': seeds"):
        if not (child := os.fork()):
            os._exit(3)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3


def test_a_forked_child_that_is_still_at_work_is_ended_and_one_that_was_waited_for_is_no_fault(monkeypatch):
    monkeypatch.setattr(author_calls, "GRACE_S", 0.05)
    with pytest.raises(DomainError, match="seeds forked"), author_call("domain 'sums': seeds"):
        if not (child := os.fork()):
            signal.pause()
    with pytest.raises(ChildProcessError):
        os.waitpid(child, 0)
    with author_call("domain 'sums': seeds"):
        if not (child := os.fork()):
            os._exit(3)
        os.waitpid(child, 0)


def test_a_function_that_closes_all_descriptors_is_named_and_the_command_fails():
    program = "import os\nfrom evoltune.author_calls import author_call\nwith author_call('seeds of sums'): os.closerange(3, 256)\nprint('went on')"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (1, "") and "seeds of sums closed all open files" in done.stderr


def test_what_an_author_prints_never_mixes_with_results(tmp_path):
    with (tmp_path / "out").open("w") as out, (tmp_path / "err").open("w") as err:
        stream = SafeStream(out, aside=SafeStream(err))
        with author_call("seeds"):
            stream.write("3 seeds found\n")
        stream.write("{}\n")
    assert [(tmp_path / name).read_text() for name in ("out", "err")] == ["{}\n", "3 seeds found\n"]


@pytest.mark.parametrize("gives", [[{"instruction": "q"}], [None], 3])
def test_seeds_that_are_no_records_are_refused_whatever_they_are(gives):
    domain = Domain(name="sums", seeds=lambda: gives, operators=(), verify=lambda *_: Verdict(status="pass"))
    with pytest.raises(DomainError, match="domain 'sums': seeds raised TypeError"):
        list(seeds_of(domain))
