"""Objects that count how often they are asked, and answer the first question otherwise than the next, pass no test."""

import pytest

from evoltune import verify

CLASS = "class L:\n    n = 0\n    def {method}(self, other):\n        L.n += 1\n        {body}\n\ndef f(x):\n    return L()\n"
RAISE = "if L.n > 1: raise TypeError\n        return True"


@pytest.mark.parametrize(
    ("method", "body", "tests"),
    [
        ("__ge__", RAISE, "assert f(2) >= 3"),
        ("__contains__", RAISE, "assert 3 in f(2)"),
        ("startswith", RAISE, "assert f(2).startswith('abc')"),
        ("__eq__", "return L.n > 5", "assert f(2) == 3"),
    ],
)
def test_an_object_that_counts_its_questions_passes_nothing(method, body, tests):
    answer = f"```python\n{CLASS.format(method=method, body=body)}```"
    row = {"instruction": "x", "answer": answer, "tests": tests, "entry_point": "f"}
    (verdict,) = verify([row], domain="code")
    assert verdict["status"] != "pass"
