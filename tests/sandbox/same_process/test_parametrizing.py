"""Parameters of tests: pytest's own list of the same file says which runs there are, by which names, and in which order."""

import subprocess
import sys

import pytest

from evoltune.sandbox.same_process import collecting, expectations, fixtures, parametrizing, pytest_api

SOURCE = '''
import enum, re
import pytest

class Colour(enum.Enum):
    RED = 1

class Thing: pass

VALUES = [1, -2.5, 1j, None, True, "a b", "\\n", "\\u00e9", b"x\\xff", Colour.RED, re.compile("a+"), len, Thing, Thing(), [1], (), {}]

@pytest.mark.parametrize("v", VALUES)
def test_values(v): pass

@pytest.mark.parametrize("a, b", [(1, 2), ("x", [3]), pytest.param(4, None, id="named"), pytest.param(5, 6, marks=pytest.mark.skip)])
def test_rows(a, b): pass

@pytest.mark.parametrize(["a"], [(1,), (2,)])
def test_one_in_a_list(a): pass

@pytest.mark.parametrize("a,", [(1,), ("x",)])
def test_one_with_a_comma(a): pass

@pytest.mark.parametrize("a", [1, 1, 2, "x", "x", "x1", [0], "y", "y", "y0", "y", "1_0", ""])
def test_the_same_twice(a): pass

@pytest.mark.parametrize("a", [1, 2, 3], ids=["one", None, 7])
def test_given_ids(a): pass

@pytest.mark.parametrize(("a", "b"), [(1, 2), (3, 4)], ids=lambda v: f"<{v}>" if v % 2 else None)
def test_made_ids(a, b): pass

@pytest.mark.parametrize("a", [1, 2])
@pytest.mark.parametrize("b", "xy")
@pytest.mark.parametrize("c", [True, False])
def test_products(a, b, c): pass

@pytest.fixture(params=["p", "q"], ids=["first", "second"])
def fixed(request): return request.param

@pytest.fixture(scope="module", params=[10, 20])
def wide(request): return request.param

@pytest.fixture(scope="class", params=["k", "l"])
def per_class(request): return request.param

def test_fixture(fixed): pass
def test_wide_1(wide): pass
@pytest.mark.parametrize("a", [1, 2])
def test_wide_2(a, wide): pass
def test_both(wide, fixed): pass
def test_plain(): pass
def test_wide_3(per_class, wide): pass

@pytest.mark.parametrize("fixed", [1, 2], indirect=True)
def test_indirect(fixed): pass

@pytest.mark.parametrize("fixed, a", [(1, 2), (3, 4)], indirect=["fixed"])
def test_in_part(fixed, a): pass

@pytest.mark.parametrize("wide", ["by hand"])
def test_hidden(wide): pass

@pytest.mark.parametrize("n", [1, 2], scope="class")
class TestScoped:
    def test_one(self, n): pass
    def test_two(self, n): pass

class TestMarks:
    pytestmark = pytest.mark.parametrize("n", ["c", "d"])
    @pytest.mark.parametrize("m", [1, 2])
    def test_it(self, n, m, per_class): pass

def pytest_generate_tests(metafunc):
    if "made" in metafunc.fixturenames:
        metafunc.parametrize("made", [metafunc.function.__name__, metafunc.cls])

def test_generated(made): pass
'''  # fmt: skip


@pytest.fixture(scope="module")
def listed(tmp_path_factory):
    """Name of a test -> its runs, in pytest's order over the whole file."""
    folder = tmp_path_factory.mktemp("rows")
    (folder / "test_file.py").write_text(SOURCE, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", f"--rootdir={folder}", "."]  # fmt: skip
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    return [line.partition("::")[2].replace("::", ".") for line in done.stdout.splitlines() if "::" in line]


def runs():
    """What our collector runs of the file: the names that tests learn from `request.node`, in order."""
    module = pytest_api.pytest_module(lambda: 0, lambda found: found)
    space = {"__name__": "tests", "pytest": module}
    exec(SOURCE.replace("import pytest\n", "", 1), space)
    seen = []

    class Recording(fixtures.Fixtures):
        def opened(self, case, holder, function=None):
            found = super().opened(case, holder, function)
            node = fixtures._Node(found)
            seen.append(node.nodeid.partition("::")[2].replace("::", "."))
            return found

    collector = collecting.Collector(space, Recording(space, lambda: None))
    for test in collector.tests([name for name in space if not name.startswith("__")]):
        test.run()
    return seen


def test_every_run_has_pytests_name_and_place(listed):
    skipped = [name for name in listed if name.startswith("test_rows[5")]
    assert len(listed) > 80 and len(skipped) == 1
    assert runs() == [name for name in listed if name not in skipped]


def test_rows_must_have_a_value_for_each_name():
    metafunc = parametrizing.Metafunc(len, None, ["a", "b"], lambda name: "function")
    with pytest.raises(ValueError, match="argument"):
        metafunc.parametrize("a, b", [(1, 2), (3,)])


def test_what_metafunc_does_not_offer_is_named():
    metafunc = parametrizing.Metafunc(len, 3, ["a"], lambda name: "function")
    assert metafunc.cls is int and metafunc.function is len and not metafunc.takes("a")
    metafunc.parametrize("a", [1])
    assert metafunc.takes("a") and [case.given for case in metafunc.cases] == [{"a": 1}]
    with pytest.raises(expectations.Unsupported, match=r"metafunc\.config"):
        metafunc.config  # noqa: B018
    assert not hasattr(metafunc, "_private")
