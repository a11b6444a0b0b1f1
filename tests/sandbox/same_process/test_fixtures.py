"""Fixtures: how long values live, what finishes when, and what a test learns of itself."""

import functools
import inspect

import pytest

from evoltune.sandbox.same_process import expectations, pytest_api
from evoltune.sandbox.same_process.fixtures import Fixtures, finish, parameters, required
from evoltune.sandbox.same_process.parametrizing import Case

FIXTURE = pytest_api.pytest_module(lambda: 0, lambda module: module).fixture


def kept(function):
    function.seen = 1
    return function


def deep(a, b=1, *args, c, d=2, **more): ...


FUNCTIONS = [
    lambda: 0, lambda a: 0, lambda a, b: 0, lambda a, b=2: 0, lambda a=1, b=2: 0, lambda *a, **k: 0, lambda *, a, b=2: 0, lambda a, /, b, c=3: 0, deep, kept(lambda a, b=3: 0),
    functools.partial(deep, 1), functools.partial(deep, c=1), deep.__get__(3), type("Called", (), {"__call__": lambda self, a, b=1: 0})(), functools.wraps(deep)(lambda a: 0),
]  # fmt: skip


@pytest.mark.parametrize("function", FUNCTIONS)
def test_parameters_are_those_of_its_signature(function):
    signature = inspect.signature(function, follow_wrapped=False).parameters.values()
    named = [p for p in signature if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    assert parameters(function) == {p.name: p.default for p in named}
    assert required(function) == [p.name for p in named if p.default is p.empty]


def test_what_has_no_signature_has_no_parameters():
    assert parameters(type("Bad", (), {"__signature__": 3})()) == {} == parameters(5)


def test_a_coroutine_is_run_to_its_end():
    async def later():
        return 5

    assert finish(later()) == 5 and finish(7) == 7


class Log(list):
    """Fixtures that write down when they are made and finished."""

    def fixture(self, name, asks=(), **more):
        def make(**values):
            self.append(f"+{name}")
            yield (name, *values.values())
            self.append(f"-{name}")

        make.__signature__ = inspect.Signature([inspect.Parameter(a, inspect.Parameter.KEYWORD_ONLY) for a in asks])
        return FIXTURE(make, name=name, **more)

    def fixtures(self, *made):
        return Fixtures({f"name_{i}": one for i, one in enumerate(made)}, lambda: "entry")


CASE = Case({}, {})


def test_values_are_made_once_in_a_run_and_finished_in_the_reverse_order():
    log = Log()
    made = log.fixtures(log.fixture("a"), log.fixture("b", ["a"]), log.fixture("c", ["b", "a"]))
    for _ in range(2):
        with made.opened(CASE, None) as value:
            assert value("c") == ("c", ("b", ("a",)), ("a",)) and value("a") is value("a")
    assert log == ["+a", "+b", "+c", "-c", "-b", "-a"] * 2


def test_wide_values_outlive_the_run_up_to_their_scope():
    log = Log()
    made = log.fixtures(log.fixture("m", scope="module"), log.fixture("s", scope="session"), log.fixture("k", scope="class"), log.fixture("f"))  # fmt: skip
    for _ in range(2):
        with made.opened(CASE, None) as value:
            for name in "mskf":
                value(name)
    assert log == ["+m", "+s", "+k", "+f", "-f", "+f", "-f"]
    made.of_class.close()
    assert log[7:] == ["-k"]
    with made.opened(CASE, None) as value:
        value("k"), value("m")
    made.close()
    assert log[8:] == ["+k", "-k", "-s", "-m"]


def test_a_wide_value_is_made_anew_for_another_parameter_with_what_was_built_on_it():
    log = Log()
    made = log.fixtures(log.fixture("p", scope="module", params=[1, 2]), log.fixture("q", ["p"], scope="module"))
    for parameter in (1, 1, 2):
        with made.opened(Case({}, {"p": parameter}), None) as value:
            value("q"), value("p")
    assert log == ["+p", "+q", "-q", "-p", "+p"] or log == ["+p", "+q", "-q", "-p", "+p", "+q"]


def test_all_is_finished_also_where_one_fails_and_the_first_error_is_told():
    log = Log()

    @FIXTURE(name="bad")
    def bad(b):
        yield
        raise KeyError("bad")

    @FIXTURE(name="worse")
    def worse(bad):
        yield
        raise ValueError("worse")

    made = log.fixtures(log.fixture("a"), log.fixture("b", ["a"]), bad, worse)
    with pytest.raises(ValueError, match="worse"), made.opened(CASE, None) as value:
        value("worse")
    assert log == ["+a", "+b", "-b", "-a"]


def test_a_fixture_yields_once():
    @FIXTURE(name="twice")
    def twice():
        yield 1
        yield 2

    with pytest.raises(ValueError, match="more than one 'yield'"), Log().fixtures(twice).opened(CASE, None) as value:
        assert value("twice") == 1


def test_what_is_used_everywhere_is_made_without_being_asked_for_and_the_widest_first():
    log = Log()
    made = log.fixtures(log.fixture("f", autouse=True), log.fixture("m", autouse=True, scope="module"), log.fixture("c", autouse=True, scope="class"), log.fixture("never"))  # fmt: skip
    with made.opened(CASE, None):
        assert log == ["+m", "+c", "+f"]
    assert made.needed(["never"], None) == ["m", "c", "f", "never"]


def test_names_that_nothing_gives_are_named_and_candidates_are_the_function_under_test():
    made = Log().fixtures()
    with made.opened(Case({"x": 3}, {}), None) as value:
        assert value("candidate") == value("solve") == "entry" and value("x") == 3 and value("tmp_path").is_dir()
        with pytest.raises(expectations.Unsupported, match="the fixture 'nothing'"):
            value("nothing")
    assert made.knows("tmp_path", None) and made.knows("request", None) and not made.knows("nothing", None)


def test_a_fixture_of_a_class_hides_that_of_the_module_and_may_ask_for_it():
    class Base:
        @FIXTURE
        def n(self, n):
            return ("base", n)

    class Holder(Base):
        @FIXTURE
        def n(self, n):
            return (type(self).__name__, n)

    @FIXTURE
    def n():
        return "module"

    made = Fixtures({"n": n}, lambda: None)
    for holder, wanted in ((None, "module"), (Base(), ("base", "module")), (Holder(), ("Holder", ("base", "module")))):
        with made.opened(CASE, holder) as value:
            assert value("n") == wanted


def test_what_a_hidden_fixture_asks_for_is_needed_where_the_one_that_hides_it_asks_for_it():
    @FIXTURE(params=[1, 2])
    def base(request):
        return request.param

    @FIXTURE
    def n(base):
        return base

    class Asks:
        @FIXTURE
        def n(self, n):
            return n

    class Hides:
        @FIXTURE
        def n(self):
            return 0

    made = Fixtures({"base": base, "n": n}, lambda: None)
    for holder, names, rows in (
        (None, {"n", "base"}, [1, 2]), (Asks(), {"n", "base"}, [1, 2]), (Hides(), {"n"}, [None]),
    ):  # fmt: skip
        assert {*made.needed(["n"], holder)} - {"request"} == names
        assert [case.indirect.get("base") for case in made.cases(lambda n: 0, [], ["n"], holder)] == rows


def test_a_request_tells_of_the_test():
    seen = []

    @FIXTURE(name="told")
    def told(request):
        request.addfinalizer(lambda: seen.append("first"))
        request.addfinalizer(lambda: seen.append("last"))
        return request

    class Holder:
        def test_it(self): ...

    holder = Holder()
    mark, other = pytest_api._Mark("n", (1,)), pytest_api._Mark("n", (2,))
    case = Case({"a": 1}, {"told": 5}, [mark, other], ["x", "y"])
    made = Fixtures({"told": told, "SIZE": 3}, lambda: None)
    with made.opened(case, holder, holder.test_it) as value:
        request = value("told")
        node = request.node
        assert (request.param, request.cls, request.instance, request.fixturename) == (5, Holder, holder, "told")
        assert request.function == holder.test_it and request.module.SIZE == 3 and request.getfixturevalue("a") == 1
        assert (node.name, node.originalname, node.callspec.id) == ("test_it[x-y]", "test_it", "x-y")
        assert node.nodeid.endswith("::Holder::test_it[x-y]") and node.callspec.params == {"a": 1, "told": 5}
        assert node.get_closest_marker("n") is mark and node.get_closest_marker("m", 7) == 7
        assert [*node.iter_markers("n")] == [mark, other] == [*node.iter_markers()] and [*node.iter_markers("m")] == []
        with pytest.raises(expectations.Unsupported, match=r"request\.config"):
            request.config  # noqa: B018
        assert seen == []
    assert seen == ["last", "first"]
    with made.opened(CASE, None, len) as value:
        request = value("request")
        assert not hasattr(request, "param") and request.cls is None and request.node.name == "len"
        assert request.node.nodeid.count("::") == 1
