"""A signal that the interpreter has noted while the main thread blocks, or is about to, must end the wait."""

import subprocess
import sys

WAITING = """
import _thread, threading, time
from concurrent.futures import Future
from evoltune.interrupts import result_of

# `interrupt_main` notes SIGINT as the interpreter's own handler does, and wakes nobody: the state of a signal that comes just
# before the thread blocks.
threading.Timer(0.5, _thread.interrupt_main).start()
try:
    result_of(Future())
except KeyboardInterrupt:
    print("interrupted")
"""


def test_a_signal_that_is_only_noted_ends_the_wait():
    done = subprocess.run([sys.executable, "-c", WAITING], capture_output=True, text=True, timeout=60)
    assert done.stdout == "interrupted\n", done.stderr
