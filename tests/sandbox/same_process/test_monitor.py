"""What is watched: which events of the interpreter are refused to whom, and which names have changed their meaning."""

import builtins
import functools
import re
import subprocess
import sys
import threading
import types
from _blake2 import blake2b

import pytest

from evoltune.sandbox.same_process import monitor

LIBRARY = types.__file__
OWN = monitor._OWN + "running.py"


def frames(*files, name="call", mentions=True, asks="sys"):
    """The innermost frame of calls through code of these files, the innermost file first. `mentions`: its code names frames, and
    what it `asks` for."""
    named = [f"sys.{n}" for n in ("tb_frame", "gi_frame", "f_code", "_current_frames", "_current_exceptions")]
    inner = {"sys": sys, "callback": sys._getframe}
    code = f"def {name}():\n    return callback()"
    if mentions:
        code = f"def {name}():\n    if sys:\n        return sys._getframe()\n    return {asks}, {', '.join(named)}"
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


WAITING = """
import gc, sys
from evoltune.sandbox.same_process import monitor
heard, seen, state = [], [], monitor.State()
class Watch:
    def __init__(self, *_): pass
    def judge(self, event, args, frame):
        heard.append(gc.isenabled())
        state.later.append((lambda *call: seen.append(call), 7))
monitor._Watch = Watch
state.begin(b"k" * 16)
sys.addaudithook(monitor.hook(state, lambda function: False))
open("/dev/null").close()
state.busy = True
assert not any(heard), "a finalizer would run unheard"
print(len(heard), seen, gc.isenabled())
"""
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
    ("import", ("_interpreters",), True, False), ("open", ("/proc/self/mem", "r"), True, False), ("exec", (None,), False, False), ("open", ("/process", "r"), True, False), ("open", ("/tmp/x", "r"), False, False), ("open", (3, "r"), False, False), ("open", (b"/x", "r"), False, False),
    ("socket.connect", (), False, False),
]  # fmt: skip


def asked_for(event, args):
    """What code of the tests would name."""
    if event in ("compile", "exec"):
        return "eval"
    if event == "code.__new__":
        return "sys.replace"
    return (
        args[0].partition(".")[0]
        if event == "import"
        else f"sys.{args[1] if 'attr' in event else event.split('.')[-1]}"
    )


def asks_by_name(event, args, library):
    """Whether the tests must name what they want, lest an iterator of the program's does it in their frame."""
    if event.startswith("object."):
        return args[1] in {"tb_frame", "gi_frame", "f_code", "__code__", "__defaults__", "__kwdefaults__"}
    if event in ("import", "compile", "exec"):
        return not library and (event != "import" or args[0].strip("_").partition(".")[0] in ("ctypes", "interpreters"))
    return event == "code.__new__" or event.startswith(("gc.", "sys."))


@pytest.mark.parametrize(("event", "args", "program", "library"), EVENTS)
def test_events_are_refused_to_programs_and_mostly_allowed_to_libraries(watch, event, args, program, library):
    args = tuple(watch[2] if a == "tests" else a for a in args)
    assert refused(watch, event, args, frames(PROGRAM)) is program
    assert refused(watch, event, args, frames(LIBRARY, LIBRARY, PROGRAM)) is library
    under_own_name = event == "compile" and args[1] in (TESTS, TESTS.encode(), OWN)
    for judges in (TESTS, OWN):
        for files in ((judges, PROGRAM), (LIBRARY, judges, PROGRAM)):
            assert refused(watch, event, args, frames(*files, asks=asked_for(event, args))) is under_own_name
            unasked = under_own_name or asks_by_name(event, args, files[0] == LIBRARY)
            assert refused(watch, event, args, frames(*files, mentions=False)) is unasked
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
    frame = types.SimpleNamespace(f_code=compile("compile", TESTS, "eval"), f_back=None, f_builtins=own)
    for spaces, expected in (((), True), ((own,), False)):
        judge = monitor._Watch(state, lambda function: False, spaces)
        assert refused((state, judge, None), "compile", (None, LIBRARY), frame) is expected


def test_handlers_of_signals_wait_until_an_event_is_judged():
    done = subprocess.run([sys.executable, "-c", WAITING], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "1 [(7, None)] True\n"), done.stderr


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


def framed(file, name="call", inner=None, **local):
    """The frame of a function of this name in this file with these local variables, or what `inner` gives that it calls."""
    space = {"callback": inner or sys._getframe, "sys": sys}
    arguments = ", ".join(local)
    exec(compile(f"def {name}({arguments}):\n    return callback()", file, "exec"), space)
    return space[name](**local)


@pytest.mark.parametrize(("shows", "expected"), [(True, True), (1, True), (0, True), ("", True), (False, False), (None, False)])  # fmt: skip
def test_a_library_that_would_show_the_variables_of_all_frames_gets_none(watch, shows, expected):
    space = {"sys": sys}
    exec(compile("def ask():\n    return sys._getframe()\n    return sys.tb_frame", LIBRARY, "exec"), space)
    frame, own = (
        framed(PROGRAM, inner=functools.partial(framed, LIBRARY, "extract", space["ask"], **{name: shows}))
        for name in ("capture_locals", "limit")
    )
    for event, args in (("sys._getframe", ()), ("object.__getattr__", (1, "tb_frame"))):
        assert refused(watch, event, args, frame) is expected
        assert not refused(watch, event, args, own)


IMPORTER = "<frozen importlib._bootstrap_external>"


def test_a_source_is_compiled_by_an_import_of_just_this_file(watch, tmp_path):
    file, other = tmp_path / "a.py", tmp_path / "b.py"
    file.write_bytes(b"x = 1\n")
    other.write_bytes(b"x = 2\n")
    library = LIBRARY.rpartition("/")[0] + "/no_such_module.py"
    space = {"sys": sys}
    exec(compile("def removed():\n    return sys._getframe()", IMPORTER, "exec"), space)
    removed = space["removed"]
    for name, data, given in (
        (str(file), b"x = 1\n", True), (str(file), memoryview(b"x = 1\n"), True), (str(file), b"x = 2\n", False), (str(other), b"x = 1\n", False), (str(file), b"", False), (str(file), bytearray(b"x = 1\n"), False),
        (library, b"", False), ("a\0b", b"", False), (str(file), "x = 1\n", False),
    ):  # fmt: skip
        frame = framed(IMPORTER, "source_to_code", data=data)
        assert monitor._imports_source(name, frame) is given, (name, data)
        inner = framed(IMPORTER, "source_to_code", inner=removed, data=data)
        assert monitor._imports_source(name, inner) is given
        assert not monitor._imports_source(name, framed(LIBRARY, "source_to_code", data=data)), "not the importer"
        assert not monitor._imports_source(name, framed(IMPORTER, "get_code", data=data))
    assert monitor._imports_source("any", framed(LIBRARY, "invoke_excepthook"))


def test_bytecode_is_loaded_by_an_import_that_names_its_source_or_is_a_librarys(tmp_path):
    file = tmp_path / "a.pyc"
    file.write_bytes(b"h" * 16 + b"code")
    cases = [
        ({"source_path": "/x/a.py", "bytecode_path": str(file), "data": b"code"}, True), ({"source_path": "/x/a.py", "bytecode_path": "", "data": b""}, True), ({"source_path": None, "bytecode_path": str(file), "data": b"code"}, False),
        ({"source_path": LIBRARY, "bytecode_path": str(file), "data": b"code"}, True), ({"source_path": LIBRARY, "bytecode_path": str(file), "data": b"other"}, False),
        ({"source_path": LIBRARY, "bytecode_path": str(tmp_path / "none"), "data": b"code"}, False), ({"source_path": LIBRARY, "bytecode_path": str(file), "data": b"hcode"}, False),
    ]  # fmt: skip
    for local, given in cases:
        assert monitor._imports_file("marshal.loads", framed(IMPORTER, "_compile_bytecode", **local)) is given, local
        assert not monitor._imports_file("marshal.load", framed(IMPORTER, "_compile_bytecode", **local))
        assert not monitor._imports_file("marshal.loads", framed(IMPORTER, "get_code", **local))
        assert not monitor._imports_file("marshal.loads", framed(LIBRARY, "_compile_bytecode", **local))
    path = type("Path", (str,), {"startswith": lambda *a: True, "__str__": lambda s: LIBRARY})("/x/a.py")
    local = {"source_path": path, "bytecode_path": "", "data": b""}
    assert monitor._imports_file("marshal.loads", framed(IMPORTER, "_compile_bytecode", **local)), "by the text itself"


def test_annotations_are_read_where_they_name_classes_and_call_nothing(watch):
    def noted(**annotations):
        function = types.FunctionType((lambda: 0).__code__, {})
        function.__annotations__ = annotations
        return function

    for name, reads in (("get_type_hints", True), ("get_annotations", True), ("signature", False)):
        frame = framed(LIBRARY, name)
        for annotations, plain in (
            ({}, True), ({"a": int}, True), ({"a": "int", "b": "list[int]"}, True), ({"a": "EXPECTED.clear()"}, False), ({"a": int, "b": "f()"}, False), ({"a": type("T", (str,), {})("int")}, False),
        ):  # fmt: skip
            assert monitor._reads_annotations(frame, noted(**annotations)) is (reads and plain), (name, annotations)
    for names in ("__globals__", "__builtins__", "__closure__"):
        state, judge, _ = watch
        state.broken = ""
        with pytest.raises(PermissionError):
            judge.judge(
                "object.__getattr__", (noted(), names), framed(PROGRAM, inner=lambda: framed("<string>", "read"))
            )
        assert state.broken == f"{names} of the tests' functions"


def calling(file):
    """A function of this file that reports an event to a hook."""
    space = {}
    exec(compile("def report(hear, event, *args):\n    return hear(event, args)", file, "exec"), space)
    return space["report"]


def test_the_hook_hears_what_is_watched_while_nothing_is_judged():
    state = begun()
    hear, report = monitor.hook(state, lambda function: False), calling(PROGRAM)
    for event, args in (
        ("gc.get_objects", ()), ("sys.settrace", ()), ("ctypes.dlopen", ("x",)), ("compile", (None, "<tests>")), ("import", ("ctypes",)), ("open", ("/proc/self/mem",)), ("sys._getframe", ()), ("object.__getattr__", (1, "tb_frame")),
        ("code.__new__", ()), ("marshal.loads", (b"",)),
    ):  # fmt: skip
        state.broken, state.busy = "", True
        assert report(hear, event, *args) is None and state.broken == "", "the judge's own doing"
        state.busy = False
        with pytest.raises(PermissionError):
            report(hear, event, *args)
        assert state.broken and state.busy is False, "the next one is heard too"
    state.broken = ""
    for event, args in (("socket.connect", ()), ("gc.collect", ()), ("exec", (None,)), ("open", ("/tmp/x",)), ("import", ("json",))):  # fmt: skip
        assert report(hear, event, *args) is None and state.broken == ""


def test_other_threads_are_heard_whatever_the_tests_do_meanwhile():
    state = begun()
    hear, report, found = monitor.hook(state, lambda function: False), calling(PROGRAM), []
    state.busy = True

    def run():
        for _ in range(2):
            try:
                report(hear, "gc.get_objects")
            except PermissionError as error:
                found.append(str(error))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert len(found) == 2 and state.broken == "gc.get_objects" and state.busy is True


def test_what_is_judged_in_another_thread_is_judged_once():
    state, seen = begun(), []

    def is_tests(function):
        seen.append(function)
        report(hear, "object.__getattr__", function, "__code__")  # as the judging itself may look at code
        return False

    hear, report = monitor.hook(state, is_tests), calling(PROGRAM)
    state.busy = True
    thread = threading.Thread(target=lambda: report(hear, "object.__getattr__", len, "__code__"))
    thread.start()
    thread.join()
    assert seen == [len]


def test_all_libraries_are_verified_at_the_first_few_assertions_and_at_powers_of_two():
    assert [n for n in range(1, 1025) if monitor.is_due(n)] == [1, 2, 3, 4, 8, 16, 32, 64, 128, 256, 512, 1024]


@pytest.mark.parametrize(
    ("source", "sets"),
    [
        ("m.size = 3", True), ("m.size=3", True), ("m.size += 1", True), ("m.size //= 2", True), ("m.size **= 2", True), ("m.size <<= 1", True), ("m.size |= 1", True), ("setattr(m, 'size', 1)", True),
        ('patch("m.part.size", 1)', True), ("assert m.size == 3", False), ("m.sizes = 3", False), ("m.resize = 3", False), ("x = m.size", False), ("f('a size')", False), ("f('size\")", False), ("", False),
    ],
)  # fmt: skip
def test_whether_tests_set_a_name_of_a_module_is_read_from_them(source, sets):
    assert monitor.is_set("size", [source]) is sets is monitor.is_set("size", ["x = 1", source])


def test_tables_that_tests_mention_and_leave_are_watched():
    module = types.ModuleType("module")
    module.names, module.sizes, module.other, module.text, module.__all__ = (
        ["a", "b"],
        {"x": 1},
        [1],
        "names",
        ["names"],
    )
    mentions = "assert m.names[0] == f(1) and m.sizes and m.text and m.__all__"
    for source, watched in (
        (mentions, ["names", "sizes"]), ("assert m.names", ["names"]), ("x = 1", []), ("m.names.append(f(1))", []), ("m.names[0] = f(1)", []), ("del m.names[0]", []), ("patch.object(m, 'names', [])", []),
        ("assert m.names[0] == 'a'", ["names"]), ("assert m.sizes['x'] == 1\nm.sizes['y'] = 2", []), ("m.sizes.clear()\nassert m.names", ["names"]),
    ):  # fmt: skip
        found = monitor.tables([module], [source])
        assert [next(n for n, v in space.items() if v is table) for space, table, _ in found] == watched, source
    configured = types.ModuleType("logging")
    configured.names = ["a"]
    assert monitor.tables([configured], [mentions]) == []


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda m: m.names.append("c"), "names"), (lambda m: m.names.__setitem__(0, "z"), "names"), (lambda m: m.names.reverse(), "names"), (lambda m: m.names.pop(), "names"), (lambda m: m.sizes.update(x=2), "sizes"),
        (lambda m: m.sizes.update(y=2), "sizes"), (lambda m: m.sizes.pop("x"), "sizes"), (lambda m: m.other.append(3), None), (lambda m: None, None),
    ],
)  # fmt: skip
def test_tables_that_hold_something_else_are_found(change, name):
    module = types.ModuleType("module")
    module.names, module.sizes, module.other = ["a", "b"], {"x": 1}, [1]
    found = monitor.tables([module], ["assert m.names and m.sizes"])
    change(module)
    assert [entry[1] for entry in monitor.refilled(found)] == ([name] if name else [])
    assert all(space is vars(module) for space, _, _ in monitor.refilled(found))


def test_constants_are_those_that_tests_compare_with():
    for value in (1, 2.5, 1j, "a", b"a", (1,), frozenset(), re.compile("a")):
        assert isinstance(value, monitor.CONSTANTS)
    assert not any(isinstance(value, monitor.CONSTANTS) for value in ([], {}, set(), None, len, bytearray()))
