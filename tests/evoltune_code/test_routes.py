"""Programs that differ in names and looks alone take one route; others do not."""

import pytest

from evoltune.record import Task
from evoltune_code.routes import route, shape_of

TASK = Task(instruction="x", tests=["assert total([1]) == 1"], fields={"entry_point": "total"})
LOOP = "def total(numbers):\n    result = 0\n    for n in numbers:\n        result += n\n    return result\n"


@pytest.mark.parametrize(
    "same",
    [
        'def total(xs: list[int]) -> int:\n    """Adds."""\n    s: int = 0\n    for x in xs:  # each\n        s += x\n    return s\n',
        "Here it is:\n```python\ndef total(values):\n\n    key = 0\n    for v in values: key += v\n    return (key)\n```\nIt adds.",
    ],
)
def test_names_annotations_comments_and_layout_make_no_route(same):
    assert route(TASK, LOOP) == route(TASK, same)


@pytest.mark.parametrize(
    "other",
    ["def total(numbers):\n    return sum(numbers)\n", LOOP.replace("+=", "-="), LOOP.replace("= 0", "= 1"),
     "def total(numbers):\n    return numbers[0] + total(numbers[1:]) if numbers else 0\n"],
)  # fmt: skip
def test_another_way_is_another_route(other):
    assert route(TASK, LOOP) != route(TASK, other)


def test_names_of_libraries_are_not_the_programs_own():
    one = "def f(a):\n    key = len\n    return sorted(a, key=key)\n"
    assert shape_of(one) == shape_of(
        one.replace("= len", "= len").replace("key = len", "by = len").replace("=key)", "=by)")
    )
    assert shape_of(one) != shape_of(one.replace("sorted", "max"))
    own = "def g(a, b=1):\n    return a\n\ndef f(a):\n    return g(a, b=2)\n"
    assert shape_of(own) == shape_of(own.replace("b=", "c="))


@pytest.mark.parametrize("text", ["", "no program", "def f(:", "```js\nlet a = 1\n```", "(" * 5000, "\0"])
def test_what_is_no_program_has_a_route_too(text):
    assert isinstance(route(TASK, text), str)
