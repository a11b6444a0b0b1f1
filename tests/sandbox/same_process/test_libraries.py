"""What is watched of the modules by which tests judge."""

import json
import logging
import re
import sys
import types
import typing
import warnings

import pytest

from evoltune.sandbox.same_process import libraries as watching
from evoltune.sandbox.same_process.libraries import Libraries


class Own:
    def __init__(self):
        self.opened = print


@pytest.fixture
def module(monkeypatch):
    found = types.ModuleType("watched")
    found.function, found.number, found.own, found.kind = (
        lambda: 0,
        3,
        Own(),
        type("Kind", (), {"__module__": "watched", "half": lambda self: 1}),
    )
    monkeypatch.setitem(sys.modules, "watched", found)
    return found


def test_instances_are_watched_with_their_class_and_functions_once(module):
    libraries = Libraries()
    libraries.take([module])
    (parts,) = [parts for parts in libraries.parts if parts.kinds[0][0] is module]
    assert [value for value, _ in parts.kinds] == [module, module.own]
    (watched,) = [(found.names, found.values) for found in parts.names if found.owner is vars(module)]
    assert watched == (("function", "own", "kind"), (module.function, module.own, module.kind))
    assert libraries.changed() == []


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda module: setattr(module, "function", print), "function"),
        (lambda module: setattr(module.own, "opened", len), "opened"),
        (lambda module: setattr(module.own, "__class__", type("Sub", (Own,), {})), "__class__"),
        (lambda module: setattr(module.kind, "half", print), "half"),
        (lambda module: setattr(module.kind, "new", print), "new"),
    ],
)
def test_a_change_is_found_by_its_name(module, change, name):
    libraries = Libraries()
    libraries.take([module])
    change(module)
    assert [entry[1] for entry in libraries.changed()] == [name]
    module.number = 4
    assert [entry[1] for entry in libraries.changed()] == [name]


def keyed(*, key=len):
    return key


@pytest.mark.parametrize(
    ("make", "change", "name"),
    [
        (lambda m: {"load": len, "size": 3}, lambda m: m.value.update(load=print), "load"),
        (lambda m: {"load": len}, lambda m: m.value.pop("load"), "load"),
        (lambda m: {"load": len}, lambda m: setattr(m, "value", {"load": len}), "value"),
        (lambda m: types.FunctionType(keyed.__code__, {}, "keyed", None), lambda m: m.value.__kwdefaults__.update(key=abs), "key"),
        (lambda m: Own(), lambda m: setattr(m.value, "half", 3), "half"),
        (lambda m: json, lambda m: setattr(m, "value", None), "value"),
    ],
)  # fmt: skip
def test_tables_keywords_instances_and_modules_are_watched(module, make, change, name):
    Own.half = lambda self: 1
    module.value = make(module)
    if type(module.value) is types.FunctionType:
        module.value.__kwdefaults__ = {"key": len}
    libraries = Libraries()
    libraries.take([module])
    assert libraries.changed() == []
    change(module)
    assert name in [entry[1] for entry in libraries.changed()]


@pytest.mark.parametrize("name", ["number", "__doc__", "excepthook", "plain"])
def test_what_programs_may_set_is_not_watched(module, name):
    module.plain, module.excepthook = {"size": 3}, len
    libraries = Libraries()
    libraries.take([module])
    setattr(module, name, {"size": 4} if name == "plain" else print)
    assert libraries.changed() == []


def test_modules_that_are_used_are_watched_two_steps_deep_and_no_deeper(monkeypatch):
    chain = [types.ModuleType(f"chain{n}") for n in range(4)]
    for one, after in zip(chain, [*chain[1:], None], strict=True):
        monkeypatch.setitem(sys.modules, one.__name__, one)
        one.function, one.after = (lambda: 0), after
    libraries = Libraries()
    libraries.take(chain[:1])
    for one in chain:
        one.function = print
    assert [space["__name__"] for space, *_ in libraries.changed()] == ["chain0", "chain1", "chain2"]


def test_a_module_is_used_where_functions_and_classes_come_from_it(module, monkeypatch):
    other = types.ModuleType("other")
    other.helper = lambda: 0
    monkeypatch.setitem(sys.modules, "other", other)
    module.function.__module__ = "other"
    libraries = Libraries()
    libraries.take([module])
    other.helper = print
    assert [entry[1] for entry in libraries.changed()] == ["helper"]


def test_modules_that_programs_configure_are_left_alone():
    libraries = Libraries()
    libraries.take([sys, typing, logging, warnings])
    assert libraries.parts == [] and libraries.patterns == [] and libraries.drop_patterns() is False


def test_patterns_that_are_not_what_their_key_says_are_dropped(monkeypatch):
    monkeypatch.setattr(re, "_cache", {})
    kept = [
        re.compile("a+"),
        re.compile("a+", re.I),
        re.compile(b"a+"),
        re.compile("(?i)b"),
        re.compile("c", re.A | re.M),
        re.compile("u", re.U),
    ]
    table = re._cache
    known = dict(table)
    assert len(known) == len(kept)
    libraries = Libraries()
    libraries.take([re])
    wrong = {
        (str, "x", 0): re.compile("y|"), (str, "(?x)", 0): "no pattern", (str, "a+", 2): kept[0].pattern, "no key": kept[0], (str, "short"): kept[0],
        (bytes, b"a+", 0, 1): kept[2], (str, "a*", 0): kept[1], (bytes, b"q", 0): re.compile("q"), (str, "d", 0): re.compile("d", re.I), (str, "z", 0): re.compile("b"),
    }  # fmt: skip
    table.clear()
    table.update({**known, **wrong})
    assert libraries.drop_patterns() is False
    assert table == {key: pattern for key, pattern in known.items() if key not in wrong}
    monkeypatch.setattr(re, "_cache", {})
    assert libraries.drop_patterns() is True


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("__eq__", lambda self, other: True, True), ("__slot__", property(len), True), ("__note__", 3, False), ("__annotations__", {}, False), ("plain", 3, True), ("_half", 3, True), ("half__", 3, True),
    ],
)  # fmt: skip
def test_a_new_name_of_a_class_is_found_where_it_may_hide_a_method(module, name, value, found):
    libraries = Libraries()
    libraries.take([module])
    setattr(module.kind, name, value)
    assert [entry[1] for entry in libraries.changed()] == [name] * found


def made_by(module, **names):
    """A class that says that it is from a module."""
    return type("Made", (), {"__module__": module, **names})


def test_a_table_by_class_takes_no_function_for_a_built_in_class_and_none_of_another_home(module):
    module.table = {float: len, "name": len}
    mine, theirs = made_by("mine"), made_by("theirs.part")
    copies = {}
    for home in ("mine", "theirs", "builtins"):
        copies[home] = lambda value: value
        copies[home].__module__ = home
    libraries = Libraries()
    libraries.take([module])
    assert libraries.changed() == []
    for key, value, found in (
        (mine, copies["mine"], False), (theirs, copies["theirs"], False), (mine, copies["theirs"], True), (int, copies["mine"], True), (int, copies["builtins"], True),
        ("text", copies["mine"], False), (3, len, False),
    ):  # fmt: skip
        module.table[key] = value
        assert [entry[1] for entry in libraries.changed()] == [key] * found, (key, value)
        del module.table[key]
    module.table[float] = print
    assert [entry[1] for entry in libraries.changed()] == [float]


def test_a_table_of_a_thousand_functions_is_watched_and_a_larger_one_is_not(module):
    for size, found in ((1000, True), (1001, False)):
        module.table = dict.fromkeys(range(size), len)
        libraries = Libraries()
        libraries.take([module])
        module.table[5] = print
        assert [entry[1] for entry in libraries.changed()] == [5] * found


def test_instances_without_names_and_classes_of_others_are_left_to_themselves(module, monkeypatch):
    slotted = type("Slotted", (), {"__slots__": ("a",), "__module__": "watched"})
    module.slotted, module.foreign = slotted(), made_by("elsewhere", half=len)
    callable_one = type("Called", (), {"__call__": lambda self: 0, "__module__": "watched"})()
    module.called = callable_one
    libraries = Libraries()
    libraries.take([module])
    module.slotted.a, module.foreign.half = 3, print
    assert libraries.changed() == []
    module.called.__call__ = print
    assert libraries.changed() == [], "the interpreter does not ask an instance for it"
    module.called = lambda: 0
    assert [entry[1] for entry in libraries.changed()] == ["called"]
    module.called, module.foreign = callable_one, made_by("elsewhere")
    assert [entry[1] for entry in libraries.changed()] == ["foreign"]


def test_what_was_read_before_there_was_a_job_is_watched_as_what_is_read_for_it(module, monkeypatch):
    monkeypatch.setattr(watching, "_known", {})
    monkeypatch.setattr(watching, "_used", {})
    fresh = Libraries()
    fresh.take([module, json])
    watching.prepare()
    assert "json" in watching._known and "json.decoder" in watching._used["json"] and "sys" not in watching._known
    before = watching._known["watched"]
    watching.prepare()
    assert watching._known["watched"] is before, "once"
    known = Libraries()
    known.take([module, json])
    assert [p.kinds[0][0] for p in known.parts] == [p.kinds[0][0] for p in fresh.parts]
    assert [p.names for p in known.parts] == [p.names for p in fresh.parts] and known.parts[0] is before
    module.function = print
    assert [entry[1] for entry in known.changed()] == ["function"]


def test_reading_a_module_asks_no_object_of_it_for_attributes(module):
    class Lazy:
        """As `six` has them: an attribute is an import."""

        def __getattr__(self, name):
            raise ModuleNotFoundError(name)

    class Holder:
        part = Lazy()

        @staticmethod
        def known(*, key=1):
            return key

    Holder.__module__ = module.__name__
    module.lazy, module.Holder = Lazy(), Holder
    libraries = Libraries()
    libraries.take([module])
    Holder.known.__kwdefaults__["key"] = 2
    assert [entry[1] for entry in libraries.changed()] == ["key"]


@pytest.mark.parametrize("package", ["numpy", "sympy"])
def test_a_package_whose_modules_use_each_other_unseen_is_watched_whole(package):
    pytest.importorskip(package)
    libraries, others = Libraries(), Libraries()
    libraries.take([sys.modules[package]])
    names = {parts.kinds[0][0].__name__ for parts in libraries.parts}
    loaded = {name for name, found in sys.modules.items() if name.partition(".")[0] == package and type(found) is types.ModuleType}  # fmt: skip
    assert {sys.modules[name].__name__ for name in loaded} <= names
    others.take([json])
    assert not any(parts.kinds[0][0].__name__.startswith(package) for parts in others.parts)


def test_formats_of_times_are_dropped_where_tests_read_times():
    import _strptime
    import time

    for modules, kept in (([_strptime], False), ([json], True)):
        time.strptime("2020", "%Y")
        assert _strptime._regex_cache
        libraries = Libraries()
        libraries.take(modules)
        libraries.drop_patterns()
        assert bool(_strptime._regex_cache) is kept
    assert time.strptime("2021", "%Y").tm_year == 2021


def test_what_is_new_is_found_also_where_more_was_taken_away(module):
    module.table, module.kind.more, module.kind.most = {float: len, str: len, "a": len}, len, len
    libraries = Libraries()
    libraries.take([module])
    del module.table[float], module.table[str]
    module.table[int] = print
    del module.kind.more, module.kind.most
    module.kind.new = print
    assert {entry[1] for entry in libraries.changed()} == {float, str, int, "more", "most", "new"}
