"""The text of an answer is read as an answer of the right kind."""

from __future__ import annotations

import pytest

from evoltune_math.answers import kinds
from evoltune_math.answers.algebra.rational import rational
from evoltune_math.answers.reading import reader
from evoltune_math.answers.reading.cleanup import normalised, repair_escapes
from evoltune_math.answers.reading.reader import read
from evoltune_math.verification import check


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (r"\frac{1}{2}", kinds.Value), ("7 cm", kinds.Value), ("no solution", kinds.Text), (r"\textbf{(A) } 12", kinds.Choice),
        ("1, 2", kinds.Group), (r"-1 < x \le 2", kinds.Region), (r"\begin{pmatrix}1\\2\end{pmatrix}", kinds.Matrix),
        ("x+y=1", kinds.Relation), ("x=5", kinds.Named), ("3:4", kinds.Ratio), (r"k\pi, k\in\mathbb{Z}", kinds.Family),
        (r"\frac13 \approx 0.33", kinds.Either),
    ],
)  # fmt: skip
def test_each_kind_of_answer_is_recognised(text: str, kind: type) -> None:
    assert isinstance(read(text), kind)


def test_the_unit_is_separated_from_the_value() -> None:
    answer = read(r"9.8\ \mathrm{m/s^2}")
    assert isinstance(answer, kinds.Value)
    assert rational(answer.node) is not None
    assert answer.unit.replace(" ", "") == "m/s^2"


def test_wrappers_signs_and_broken_escapes_are_normalised() -> None:
    assert normalised("$\\boxed{x²}$.") == "x^{2}"
    assert repair_escapes("\x0crac12 \times 3") == r"\frac12 \times 3"
    assert repair_escapes(r"\\frac{1}{2}") == r"\frac{1}{2}"


def test_an_answer_is_parsed_once_however_it_is_wrapped_and_whoever_reads_it(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[int] = []
    parse = reader.parse_tokens
    monkeypatch.setattr(reader, "parse_tokens", lambda tokens: parsed.append(1) or parse(tokens))
    for response in (r"\sqrt{7919}+x", r"$\sqrt{7919}+x$", r"So \boxed{\sqrt{7919}+x}."):
        assert check(response, r"x+\sqrt{7919}").status == "pass"
    assert len(parsed) == 2  # the answer and the reference
