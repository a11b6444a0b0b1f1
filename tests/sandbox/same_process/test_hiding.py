"""What judges is not in the list of all classes. Run in an interpreter of its own, since it changes `type`."""

import subprocess
import sys

import pytest

BEGIN = """
import gc, types
from evoltune.sandbox.same_process import hiding, plain_values
Meta = type('Meta', (type,), {})
Kind = Meta('Kind', (), {})
Child = Meta('Child', (Kind,), {})
real = type.__subclasses__
gc.disable()
hiding.hide()
function = type.__subclasses__
"""
LAWS = {
    "classes of the package are left out, and only these": (
        "shown, kinds = object.__subclasses__(), real(object)\n"
        "assert plain_values.Shown in kinds and plain_values.Shown not in shown and types.SimpleNamespace in shown\n"
        "assert shown == [k for k in kinds if not k.__module__.startswith('evoltune.')]"
    ),
    "a class is asked as ever": (
        "assert Kind.__subclasses__() == [Child] == type.__subclasses__(Kind) and bool in int.__subclasses__()\n"
        "assert Child.__subclasses__() == [] and Meta in type.__subclasses__(type)"
    ),
    "a wrong argument is refused": "try:\n    function(3)\nexcept TypeError:\n    pass\nelse:\n    raise AssertionError",
    "the function leads to no names": (
        "assert type(function) is types.FunctionType and not function.__closure__ and {*function.__globals__} == {'__builtins__'}\n"
        "assert function.__builtins__ == {} and function.__name__ == real.__name__ and function.__doc__ == real.__doc__"
    ),
    "it is known": "assert hiding.is_hidden(function) and not hiding.is_hidden(real) and not hiding.is_hidden(len)",
    "a class that cannot be changed shows a copy of its names": (
        "class Taken:\n    def __eq__(self, other):\n        self.got = other\n        return True\n"
        "taken = Taken()\nassert int.__dict__ == taken and type(taken.got) is dict\ntaken.got['bit_length'] = None\n"
        "assert (5).bit_length() == 3 and type(int.__dict__) is types.MappingProxyType and vars(int)['real'] is int.real\n"
        "assert [*int.__dict__] == [*type.__dict__['__dict__'].__get__(int)] and 'mro' in type.__dict__"
    ),
    "another class shows its own": "Kind.one = 1\nassert Kind.__dict__['one'] == vars(Kind)['one'] == 1 and 'one' not in Child.__dict__",
    "a second call changes nothing": "hiding.hide()\nassert type.__subclasses__ is function and Kind.__subclasses__() == [Child]",
}  # fmt: skip


@pytest.mark.parametrize("law", LAWS)
def test_classes_that_judge_are_hidden(law):
    done = subprocess.run(
        [sys.executable, "-c", BEGIN + LAWS[law]], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
