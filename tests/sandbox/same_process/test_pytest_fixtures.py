"""pytest's built-in fixtures: what they change is there while the test runs, and as before when it has ended."""

import os
import sys

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
