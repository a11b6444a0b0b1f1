"""What is watched: which events of the interpreter are refused to whom, and which names have changed their meaning."""

import builtins
import sys
import types
from _blake2 import blake2b

import pytest

from evoltune.sandbox.same_process import monitor

LIBRARY = types.__file__
OWN = monitor._OWN + "running.py"


def frames(*files, name="call", mentions=True):
    """The innermost frame of calls through code of these files, the innermost file first. `mentions`: its code names frames."""
    named = [f"sys.{n}" for n in ("tb_frame", "gi_frame", "f_code", "_current_frames", "_current_exceptions")]
    inner = {"sys": sys, "callback": sys._getframe}
    code = f"def {name}():\n    return callback()"
    if mentions:
        code = f"def {name}():\n    if sys:\n        return sys._getframe()\n    return {', '.join(named)}"
    exec(compile(code, files[0], "exec"), inner)
    call = inner[name]
    for file in files[1:]:
        outer = {"call": call}
        exec(compile("def outer():\n    return call()", file, "exec"), outer)
        call = outer["outer"]
    return call()


PROGRAM, TESTS = "<candidate>", "<tests>"


def begun():
    state = monitor.State()
    state.begin(b"k" * 16)
    return state


@pytest.fixture
def watch():
    state = begun()
    marked = types.FunctionType(compile("0", "x", "eval"), {})
    return state, monitor._Watch(state, lambda function: function is marked), marked


def refused(watch, event, args, frame):
    state, judge, _ = watch
    state.broken = ""
    try:
        judge.judge(event, args, frame)
    except PermissionError as error:
        assert state.broken and state.broken in str(error)
        return True
    assert state.broken == ""
    return False


LIBRARY_FUNCTION = types.FunctionType((lambda: 0).__code__, {"__file__": LIBRARY})
OWN_FUNCTION = types.FunctionType((lambda: 0).__code__, {"__file__": "<candidate>"})
# event, arguments, refused to the program, refused to a library that the program calls
EVENTS = [
    ("sys._getframe", (), True, False), ("sys._current_frames", (), True, False), ("sys._current_exceptions", (), True, False),
    ("gc.get_objects", (), True, True), ("gc.get_referrers", (), True, True), ("sys.settrace", (), True, True), ("sys.setprofile", (), True, True), ("sys.addaudithook", (), True, True),
    ("cpython.run_stdin", (), True, True), ("ctypes.dlopen", (), True, False), ("ctypes.cdata", (), True, False), ("marshal.loads", (), True, True), ("marshal.load", (), True, True),
    ("object.__getattr__", (1, "tb_frame"), True, False), ("object.__getattr__", (1, "gi_frame"), True, False), ("object.__getattr__", (1, "f_code"), True, False),
    ("object.__getattr__", (1, "__code__"), False, False), ("object.__getattr__", (1, "__name__"), False, False), ("object.__getattr__", ("tests", "__code__"), True, True),
    ("object.__getattr__", ("tests", "__name__"), False, False), ("object.__getattr__", ("tests", "__annotations__"), False, False), ("object.__setattr__", ("tests", "__code__"), True, False), ("object.__setattr__", ("tests", "__defaults__"), True, False),
    ("object.__setattr__", ("tests", "__kwdefaults__"), True, False), ("object.__setattr__", ("tests", "__name__"), False, False),
    ("object.__setattr__", (LIBRARY_FUNCTION, "__code__"), True, False), ("object.__setattr__", (OWN_FUNCTION, "__code__"), False, False), ("object.__setattr__", (1, "__code__"), False, False),
    ("code.__new__", (), True, False), ("compile", (None, "<string>"), False, False), ("compile", (None, "<tests>"), True, True), ("compile", (None, b"<tests>"), True, True),
    ("compile", (None, LIBRARY), True, True), ("compile", (None, LIBRARY.encode()), True, True), ("compile", (None, OWN), True, True), ("compile", (None, "<frozen x>"), True, True), ("compile", (None, None), False, False),
    ("compile", (None, b"\xff<string>"), False, False), ("import", ("ctypes",), True, False), ("import", ("_ctypes.x",), True, False), ("import", ("json",), False, False), ("import", ("ctypesx",), False, False),
    ("import", ("_interpreters",), True, False), ("open", ("/proc/self/mem", "r"), True, False), ("open", ("/process", "r"), True, False), ("open", ("/tmp/x", "r"), False, False), ("open", (3, "r"), False, False), ("open", (b"/x", "r"), False, False),
    ("socket.connect", (), False, False),
]  # fmt: skip


@pytest.mark.parametrize(("event", "args", "program", "library"), EVENTS)
def test_events_are_refused_to_programs_and_mostly_allowed_to_libraries(watch, event, args, program, library):
    args = tuple(watch[2] if a == "tests" else a for a in args)
    assert refused(watch, event, args, frames(PROGRAM)) is program
    assert refused(watch, event, args, frames(LIBRARY, LIBRARY, PROGRAM)) is library
    for judges in (TESTS, OWN):
        assert not refused(watch, event, args, frames(judges, PROGRAM))
        assert not refused(watch, event, args, frames(LIBRARY, judges, PROGRAM))
    libraries_only = types.SimpleNamespace(f_code=types.SimpleNamespace(co_filename=LIBRARY, co_name="x"), f_back=None)
    assert not refused(watch, event, args, libraries_only), "no code of the program is on the way"


@pytest.mark.parametrize("name", sorted(monitor._RETURNS_FRAMES))
def test_a_library_that_hands_frames_on_gets_none_for_the_program(watch, name):
    for event, args in (("sys._getframe", ()), ("object.__getattr__", (1, "tb_frame"))):
        assert refused(watch, event, args, frames(LIBRARY, PROGRAM, name=name))
        assert not refused(watch, event, args, frames(LIBRARY, LIBRARY, PROGRAM, name=name))
        assert not refused(watch, event, args, frames(LIBRARY, PROGRAM, name="other"))


def test_a_library_gets_only_the_frames_that_its_own_code_asks_for(watch):
    for event, args in (("sys._getframe", ()), ("object.__getattr__", (1, "tb_frame"))):
        assert refused(watch, event, args, frames(LIBRARY, PROGRAM, mentions=False)), "a callback of the program's"
    debugger = LIBRARY.replace("types.py", "pdb.py")
    assert refused(watch, "sys._getframe", (), frames(debugger, LIBRARY, PROGRAM))


def test_code_that_took_the_name_of_the_tests_file_is_not_theirs(watch):
    state, own = watch[0], dict(vars(builtins))
    frame = types.SimpleNamespace(f_code=compile("0", TESTS, "eval"), f_back=None, f_builtins=own)
    for spaces, expected in (((), True), ((own,), False)):
        judge = monitor._Watch(state, lambda function: False, spaces)
        assert refused((state, judge, None), "sys._getframe", (), frame) is expected


def test_the_first_finding_is_kept(watch):
    state, judge, _ = watch
    for what in ("one", "two"):
        with pytest.raises(PermissionError, match=f"{what} is not allowed where program and tests share a process"):
            judge.refuse(what)
    assert state.broken == "one"


def test_the_key_moves_on_with_each_of_the_first_assertions(monkeypatch):
    monkeypatch.setattr(monitor, "RATCHET", 3)
    state, key = begun(), b"k" * 16
    for n, site in enumerate([4, 4, 5, 4, 6]):
        monitor.count(state, site)
        key = blake2b(key, digest_size=16).digest() if n < 3 else key
        assert (state.key, state.steps) == (key, min(n + 1, 3))
    assert state.counts == {4: 3, 5: 1, 6: 1} and state.failed == 0 and not state.busy


def test_libraries_are_told_by_their_files():
    assert (
        monitor.is_library(LIBRARY) and monitor.is_library(pytest.__file__) and monitor.is_library("<frozen posixpath>")
    )
    assert not any(map(monitor.is_library, (PROGRAM, TESTS, "/tmp/x.py", "<string>", __file__, "x" + LIBRARY)))


def test_changed_names_of_modules_and_of_their_classes_are_found():
    module, other = types.ModuleType("module"), types.ModuleType("other")
    space = {"__name__": "module"}
    exec(
        "class Case:\n    kept = 1\n    def check(self): pass\nclass Slots:\n    __slots__ = ('a',)\ndef f(): pass\nx = 1",
        space,
    )
    module.__dict__.update(
        Case=space["Case"],
        f=space["f"],
        x=1,
        __getattr__=len,
        __doc__="text",
        foreign=pytest.Item,
        number=int,
        __private__=1,
    )
    module._single = 2
    for name in ("a_module", "modules", "z_module"):  # classes of other modules, whatever these are called
        setattr(module, f"from_{name}", type("Foreign", (), {"__module__": name, f"of_{name}": 1}))
    entries = monitor.snapshot([module, other])
    names = [name for _, name, _ in entries]
    assert {"Case", "f", "x", "_single", "kept", "check", "__getattr__", "foreign", "number"} <= {*names}
    assert "from_modules" in names and not any(name.startswith("of_") for name in names)
    assert not {"__private__", "__dict__", "__weakref__", "runtest", "bit_length"} & {*names}
    assert monitor.changed(entries) == []
    module.Case.check = lambda self: None
    assert [name for _, name, _ in monitor.changed(entries)] == ["check"]
    module.x, module.new = 1000.5, 5
    del module.f
    assert sorted(name for _, name, _ in monitor.changed(entries)) == ["check", "f", "x"]


def test_names_of_classes_that_nobody_can_change_are_not_watched():
    import datetime

    names = {name for _, name, _ in monitor.snapshot([datetime])}
    assert {"datetime", "timedelta"} <= names and not {"isoformat", "fromordinal"} & names
