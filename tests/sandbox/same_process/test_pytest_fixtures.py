"""pytest's built-in fixtures: what they change is there while the test runs, and as before when it has ended."""

import logging
import os
import pathlib
import subprocess
import sys
import warnings

import pytest

from evoltune.sandbox.same_process import pytest_fixtures


def opened(name):
    generator = pytest_fixtures.BUILT_IN[name]()
    return next(generator), lambda: next(generator, None)


class Target:
    kept, gone = 1, 2


@pytest.fixture(params=["ours", "pytest's"])
def patch(request):
    """Each law holds for ours and for pytest's own: (patch, undo)."""
    if request.param == "ours":
        return opened("monkeypatch")
    own = pytest.MonkeyPatch()
    return own, own.undo


def test_changes_of_objects_are_undone(patch):
    change, undo = patch
    target = type("Own", (Target,), {"kept": 1, "gone": 2})
    change.setattr(target, "kept", 5)
    change.setattr(target, "kept", 6)
    change.setattr(target, "new", 7, raising=False)
    change.delattr(target, "gone")
    assert (target.kept, target.new, target.__dict__.get("gone")) == (6, 7, None)
    undo()
    assert (target.__dict__["kept"], target.__dict__["gone"], hasattr(target, "new")) == (1, 2, False)


def test_names_of_modules_are_found_by_their_path(patch):
    change, undo = patch
    real = os.path.basename
    change.setattr("os.path.basename", len)
    assert os.path.basename("abc") == 3
    undo()
    assert os.path.basename is real


def test_changes_of_mappings_are_undone(patch):
    change, undo = patch
    mapping = {"kept": 1, "gone": 2}
    change.setitem(mapping, "kept", 5)
    change.setitem(mapping, "new", 6)
    change.delitem(mapping, "gone")
    change.delitem(mapping, "never there", raising=False)
    with pytest.raises(KeyError):
        change.delitem(mapping, "never there")
    assert mapping == {"kept": 5, "new": 6}
    undo()
    assert mapping == {"kept": 1, "gone": 2}


def test_the_environment_and_the_folder_are_restored(patch, tmp_path, monkeypatch):
    monkeypatch.setenv("EVOLTUNE_TEST_SET", "before")
    change, undo = patch
    before = os.getcwd()
    change.setenv("EVOLTUNE_TEST_SET", "5")
    change.setenv("EVOLTUNE_TEST_NEW", "6")
    change.delenv("EVOLTUNE_TEST_GONE", raising=False)
    change.chdir(tmp_path)
    assert (os.environ["EVOLTUNE_TEST_SET"], os.environ["EVOLTUNE_TEST_NEW"], os.getcwd()) == ("5", "6", str(tmp_path))
    change.delenv("EVOLTUNE_TEST_SET")
    assert "EVOLTUNE_TEST_SET" not in os.environ
    undo()
    assert (os.environ["EVOLTUNE_TEST_SET"], "EVOLTUNE_TEST_NEW" in os.environ, os.getcwd()) == (
        "before",
        False,
        before,
    )


def test_output_is_captured_piece_by_piece_and_the_streams_come_back():
    before = sys.stdout, sys.stderr
    captured, close = opened("capsys")
    print("one")
    print("two", file=sys.stderr)
    assert captured.readouterr() == ("one\n", "two\n")
    print("three")
    assert captured.readouterr().out == "three\n"
    close()
    assert (sys.stdout, sys.stderr) == before
    assert pytest_fixtures.BUILT_IN["tmp_path"]().is_dir()


def test_folders_of_one_name_are_numbered(tmp_path_factory):
    for factory in (pytest_fixtures.BUILT_IN["tmp_path_factory"](), tmp_path_factory):
        made = [factory.mktemp(name).name for name in ("seen", "seen", "other", "seen")]
        assert made == ["seen0", "seen1", "other0", "seen2"] and factory.mktemp("plain", numbered=False).name == "plain"


def test_lists_of_paths_and_inner_changes_are_undone(patch, tmp_path):
    change, undo = patch
    before = [*sys.path]
    change.syspath_prepend(tmp_path)
    assert sys.path[0] == str(tmp_path) and sys.path[1:] == before
    target = type("Own", (Target,), {"kept": 1})
    with change.context() as inner:
        inner.setattr(target, "kept", 5)
        assert target.kept == 5
    assert target.kept == 1
    undo()
    assert sys.path == before


def test_what_is_not_there_is_an_error_unless_it_may_be_missing(patch):
    change, undo = patch
    target = type("Own", (Target,), {})
    for name in ("setattr", "delattr"):
        with pytest.raises(AttributeError):
            getattr(change, name)(target, "never", *([3] if name == "setattr" else []))
    change.delattr(target, "never", raising=False)
    change.setattr(target, "kept", 9)
    assert target.kept == 9
    undo()
    assert target.kept == 1 and "kept" not in target.__dict__, "it has it from its base again"


def test_a_name_of_a_module_is_taken_away_by_its_path(patch):
    change, undo = patch
    real = os.path.commonprefix
    change.delattr("os.path.commonprefix")
    assert not hasattr(os.path, "commonprefix")
    undo()
    assert os.path.commonprefix is real


def test_a_value_of_the_environment_may_go_before_the_one_that_is_there(patch, monkeypatch):
    monkeypatch.setenv("EVOLTUNE_TEST_PATH", "b")
    monkeypatch.delenv("EVOLTUNE_TEST_NONE", raising=False)
    change, undo = patch
    change.setenv("EVOLTUNE_TEST_PATH", "a", prepend=":")
    change.setenv("EVOLTUNE_TEST_NONE", "a", prepend=":")
    assert (os.environ["EVOLTUNE_TEST_PATH"], os.environ["EVOLTUNE_TEST_NONE"]) == ("a:b", "a")
    undo()
    assert os.environ["EVOLTUNE_TEST_PATH"] == "b" and "EVOLTUNE_TEST_NONE" not in os.environ


def test_static_methods_come_back_as_they_were(patch):
    change, undo = patch
    target = type("Own", (), {"made": staticmethod(len), "of": classmethod(lambda cls: cls)})
    held = target.__dict__["made"], target.__dict__["of"]
    change.setattr(target, "made", abs)
    change.setattr(target, "of", abs)
    undo()
    assert (target.__dict__["made"], target.__dict__["of"]) == held and target.of() is target


CHILD = [sys.executable, "-c", "import os; os.write(1, b'out\\n'); os.write(2, b'err\\n')"]
CAPTURE = """
import subprocess, sys
from evoltune.sandbox.same_process import pytest_fixtures
generator = pytest_fixtures.BUILT_IN[NAME]()
captured = next(generator)
found = []
for text in ("one", "three, which is longer", "2"):
    print(text)
    print(f"not {text}", file=sys.stderr)
    subprocess.run(CHILD, check=True)
    found.append(captured.readouterr())
print("left")
with captured.disabled():
    print("shown", flush=True)
found.append(captured.readouterr())
next(generator, None)
print(repr([tuple(f) for f in found]))
print("to the end", file=sys.stderr)
"""


@pytest.mark.parametrize("name", ["capfd", "capfdbinary"])
def test_what_child_processes_print_is_captured_too_and_the_descriptors_come_back(name):
    script = f"NAME, CHILD = {name!r}, {CHILD!r}\n{CAPTURE}"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    shown, _, listed = done.stdout.partition("\n")
    assert shown == "shown" and done.stderr == "to the end\n", done
    wanted = [(f"{t}\nout\n", f"not {t}\nerr\n") for t in ("one", "three, which is longer", "2")] + [("left\n", "")]
    assert eval(listed) == ([(o.encode(), e.encode()) for o, e in wanted] if name == "capfdbinary" else wanted)


def test_texts_are_captured_as_bytes_where_they_are_asked_for():
    captured, close = opened("capsysbinary")
    print("caf\u00e9")
    with captured.disabled():
        assert sys.stdout is not captured.streams[0]
    print("more")
    assert captured.readouterr() == ("caf\u00e9\nmore\n".encode(), b"")
    sys.stdout.buffer.write(b"\xff")
    assert captured.readouterr().out == b"\xff"
    close()


@pytest.fixture(params=["ours", "pytest's"])
def log(request):
    if request.param == "pytest's":
        yield request.getfixturevalue("caplog")
    else:
        found, close = opened("caplog")
        yield found
        close()


def test_records_of_logging_are_kept(log):
    own = logging.getLogger("evoltune.test")
    own.warning("one %s", 1)
    own.info("not this")
    assert log.messages == ["one 1"] and log.record_tuples == [("evoltune.test", logging.WARNING, "one 1")]
    assert "WARNING" in log.text and "test_pytest_fixtures.py:" in log.text and log.text.endswith("one 1\n")
    assert [r.getMessage() for r in log.get_records("call")] == ["one 1"] and log.get_records("setup") == []
    log.clear()
    assert log.messages == [] == log.records and log.text.strip() == ""


def test_levels_of_logging_are_set_and_come_back(log):
    own = logging.getLogger("evoltune.test")
    before = own.level, logging.getLogger().level
    with log.at_level(logging.DEBUG, "evoltune.test"):
        own.debug("in")
    own.debug("out")
    assert log.messages == ["in"] and (own.level, logging.getLogger().level) == before
    log.set_level("ERROR", logger="evoltune.test")
    log.set_level(logging.INFO)
    own.warning("no")
    logging.getLogger("evoltune.other").info("yes")
    logging.getLogger("evoltune.other").debug("no")
    assert log.messages == ["in", "yes"]


def test_logging_is_as_before_when_the_test_has_ended():
    own, root = logging.getLogger("evoltune.test"), logging.getLogger()
    before = own.level, root.level, [*root.handlers]
    log, close = opened("caplog")
    log.set_level(logging.DEBUG)
    log.set_level(logging.ERROR)
    log.set_level(logging.DEBUG, "evoltune.test")
    close()
    assert (own.level, root.level, root.handlers) == before


@pytest.fixture(params=["ours", "pytest's"])
def recorded(request):
    if request.param == "pytest's":
        yield request.getfixturevalue("recwarn")
    else:
        found, close = opened("recwarn")
        yield found
        close()


def test_warnings_are_recorded_and_taken_out_by_their_kind(recorded):
    assert len(recorded) == 0 and not [*recorded]
    for kind in (DeprecationWarning, UserWarning, FutureWarning, UserWarning):
        warnings.warn(kind.__name__, kind, stacklevel=1)
    kinds = [w.category for w in recorded.list]
    assert len(recorded) == len(kinds) == len([*recorded]) and recorded[0].category is DeprecationWarning
    assert str(recorded.pop(FutureWarning).message) == "FutureWarning"
    assert FutureWarning not in [w.category for w in recorded] and len(recorded) == len(kinds) - 1
    with pytest.raises(AssertionError):
        recorded.pop(KeyError)
    recorded.clear()
    assert len(recorded) == 0


def test_recorded_warnings_are_true_where_there_are_some():
    with warnings.catch_warnings():
        found, close = opened("recwarn")
        assert not found
        warnings.warn("x", UserWarning, stacklevel=1)
        assert found and found.pop().category is UserWarning and not found
        close()


@pytest.fixture(params=["ours", "pytest's"])
def folder(request):
    """A `tmpdir`, with the methods that tests call most."""
    return pytest_fixtures.BUILT_IN["tmpdir"]() if request.param == "ours" else request.getfixturevalue("tmpdir")


def test_a_folder_of_py_path_reads_and_writes(folder, monkeypatch):
    monkeypatch.chdir(pathlib.Path.cwd())
    file = folder.join("a.txt")
    assert not file.check()
    file.write("text")
    assert file.check() and file.read() == "text" and file.basename == "a.txt" and file.strpath == f"{folder}/a.txt"
    file.write(b"\xff", mode="wb")
    assert file.read("rb") == b"\xff"
    inner = folder.mkdir("inner")
    inner.join("b", "c")
    assert inner.check() and sorted(p.basename for p in folder.listdir()) == ["a.txt", "inner"]
    before = os.getcwd()
    old = inner.chdir()
    assert os.getcwd() == str(inner) and str(old) == before


def test_new_folders_are_for_the_owner_alone_and_none_is_another():
    folders = [pytest_fixtures.BUILT_IN["tmp_path"]() for _ in range(3)]
    assert len({*folders}) == 3 and {f.stat().st_mode & 0o777 for f in folders} == {0o700}
    assert all(f == f.resolve() for f in folders)
    factory = pytest_fixtures.BUILT_IN["tmpdir_factory"]()
    assert factory.mktemp("a").join("b").basename == "b" and factory.getbasetemp().check()
    assert pytest_fixtures.BUILT_IN["tmp_path_factory"]().getbasetemp().is_dir()


def test_parts_of_a_test_fail_as_the_test_does():
    subtests = pytest_fixtures.BUILT_IN["subtests"]()
    with subtests.test(msg="x", n=1):
        pass
    with pytest.raises(ValueError), subtests.test("y"):
        raise ValueError
    assert pytest_fixtures.BUILT_IN["record_property"]()("name", 3) is None
