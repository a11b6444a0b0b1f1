"""What is watched of the modules by which tests judge."""

import sys
import types

import pytest

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
    assert [value for value, _ in libraries.parts.kinds if value in (*vars(module).values(), module)] == [
        module,
        module.own,
    ]
    watched = [(name, value) for space, name, value in libraries.parts.entries if space is vars(module)]
    assert watched == [("function", module.function), ("own", module.own), ("kind", module.kind)]
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
