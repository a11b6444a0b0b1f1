"""Whether the code of an answer runs."""

from __future__ import annotations

from evoltune.arena.code_runs import code_status


def test_whether_an_answers_code_runs_is_found_in_the_sandbox():
    texts = ["```python\nx = 1 + 1\n```", "```python\n1 / 0\n```", "words", "```py\nimport nothing_here\n```"]
    assert list(code_status(texts)) == ["runs", "fails", "no code", "fails"]
