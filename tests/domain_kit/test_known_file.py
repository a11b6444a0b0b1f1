"""Known answers in a file of the package: what can be read, and that our own domains judge theirs as stated."""

from __future__ import annotations

from pathlib import Path

import pytest

from evoltune.domain import Context, load_domain
from evoltune.domain_kit.known_file import known_answers_in
from evoltune.errors import DataError


def test_a_file_of_known_answers_gives_tasks_with_their_answers(tmp_path: Path):
    file = tmp_path / "known_answers.yaml"
    file.write_text("- {instruction: Add., reference: '5', fields: {kind: sum}, right: ['5.0'], wrong: ['6', '-5']}\n")
    (known,) = known_answers_in(file)
    assert (known.task.reference, known.task.fields, known.right, known.wrong) == ("5", {"kind": "sum"}, ("5.0",), ("6", "-5"))  # fmt: skip


@pytest.mark.parametrize("text", ["- {instruction: Add., right: [5]}", "- {instruction: Add., rihgt: []}", "a: [", "\xff", "{}"])  # fmt: skip
def test_what_is_no_file_of_known_answers_is_an_error_with_its_name(text: str, tmp_path: Path):
    file = tmp_path / "known_answers.yaml"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError, match=r"known_answers\.yaml: known answers cannot be read"):
        list(known_answers_in(file))


def test_the_maths_domain_judges_its_known_answers_as_stated():
    domain = load_domain("math")
    context = Context(run=lambda job: pytest.fail("maths runs no program"), policy=domain.policy)
    assert domain.known_answers
    known = list(domain.known_answers())
    judged = {(k.task.reference, text): domain.verify(k.task, text, context).status for k in known for text in (*k.right, *k.wrong)}  # fmt: skip
    stated = {(k.task.reference, text): "pass" for k in known for text in k.right}
    assert {key for key, status in judged.items() if status == "pass"} == stated.keys()
