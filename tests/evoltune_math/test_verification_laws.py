"""Laws of equality over generated answers: reflexive, symmetric, independent of typesetting, sensitive to each digit."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from evoltune_math import check
from evoltune_math.verification import same_answer

NUMBERS = st.integers(min_value=-9999, max_value=9999)
NATURALS = st.integers(min_value=1, max_value=999)
SYMBOLS = st.sampled_from(["x", "y", "a", "n", r"\theta"])


def _expressions() -> st.SearchStrategy[str]:
    leaves = st.one_of(NUMBERS.map(str), SYMBOLS, NATURALS.map(lambda n: rf"\sqrt{{{n}}}"), st.just(r"\pi"))

    def grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        pair = st.tuples(inner, inner)
        return st.one_of(
            pair.map(lambda p: rf"\left({p[0]}+{p[1]}\right)"),
            pair.map(lambda p: rf"({p[0]})({p[1]})"),
            st.tuples(inner, NATURALS).map(lambda p: rf"\frac{{{p[0]}}}{{{p[1]}}}"),
            inner.map(lambda e: rf"({e})^{{2}}"),
        )

    return st.recursive(leaves, grown, max_leaves=6)


EXPRESSIONS = _expressions()
ANSWERS = st.one_of(
    EXPRESSIONS,
    st.tuples(EXPRESSIONS, EXPRESSIONS).map(lambda p: f"({p[0]}, {p[1]})"),
    st.lists(NUMBERS, min_size=2, max_size=4).map(lambda v: r"\{" + ", ".join(map(str, v)) + r"\}"),
    st.tuples(NUMBERS, NATURALS).map(lambda p: f"[{p[0]}, {p[0] + p[1]})"),
    NUMBERS.map(lambda n: rf"x \ge {n}"),
    NUMBERS.map(lambda n: rf"{n}\text{{ cm}}"),
    st.tuples(SYMBOLS, EXPRESSIONS).map(lambda p: f"z = {p[0]} + {p[1]}"),
    st.lists(NUMBERS, min_size=2, max_size=2).map(lambda v: rf"\begin{{pmatrix}}{v[0]}\\{v[1]}\end{{pmatrix}}"),
)


def passes(a: str, b: str) -> bool:
    return check(a, b).status == "pass"


@settings(max_examples=150, deadline=None)
@given(ANSWERS)
def test_equality_is_reflexive(answer: str) -> None:
    assert passes(answer, answer)


@settings(max_examples=150, deadline=None)
@given(ANSWERS, ANSWERS)
def test_equality_is_symmetric(a: str, b: str) -> None:
    assert passes(a, b) == passes(b, a)


@settings(max_examples=100, deadline=None)
@given(ANSWERS)
def test_typesetting_does_not_matter(answer: str) -> None:
    wide = answer.replace("+", " + ").replace(",", " , ").replace("=", " = ")
    assert passes(wide, answer)
    assert passes(answer.replace(r"\left", "").replace(r"\right", ""), answer)
    assert passes(answer.replace(r"\frac", r"\dfrac"), answer)
    assert passes(answer.replace(r"\frac", r"\tfrac"), answer)
    assert passes(rf"$\boxed{{{answer}}}$", answer)


@settings(max_examples=100, deadline=None)
@given(st.integers(min_value=1000, max_value=10**15))
def test_commas_in_thousands_do_not_matter(n: int) -> None:
    assert passes(f"{n:,}", str(n))
    assert passes(f"{n:,}".replace(",", "{,}"), str(n))
    assert passes(f"{n:,}".replace(",", r"\,"), str(n))


@settings(max_examples=150, deadline=None)
@given(st.one_of(NUMBERS.map(str), st.tuples(NUMBERS, NATURALS).map(lambda p: f"{p[0]}.{p[1]:03d}"),
                 st.lists(NUMBERS, min_size=2, max_size=4).map(lambda v: "(" + ",".join(map(str, v)) + ")"),
                 st.tuples(NATURALS, NATURALS).map(lambda p: f"1{p[0]}x^2 + 1{p[1]}y + 7")),
       st.integers(min_value=0), st.integers(min_value=1, max_value=9))  # fmt: skip
def test_one_changed_digit_is_never_equal(answer: str, where: int, by: int) -> None:
    digits = [i for i, c in enumerate(answer) if c.isdigit()]
    at = digits[where % len(digits)]
    changed = answer[:at] + str((int(answer[at]) + by) % 10) + answer[at + 1 :]
    assert not passes(changed, answer)
    assert not passes(answer, changed)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=60), st.text(max_size=20))
def test_no_text_raises(answer: str, reference: str) -> None:
    assert check(answer, reference).status in ("pass", "fail", "unverifiable")


TOKENS = st.lists(st.sampled_from([
    r"\frac", r"\sqrt", "{", "}", "(", ")", "[", "]", "|", "^", "_", "1", "23", "x", "=", "<", r"\le", ",", ";", r"\text", "&", r"\\", r"\begin{pmatrix}",
    r"\end{pmatrix}", r"\sum", r"\int", r"\lim", r"\cup", r"\pm", "!", "%", "$", r"\boxed", "and", " ", "i", "e", r"\pi", ":", "-", "+", "/", "*", r"\in",
    r"\mathbb{Z}", r"\left", r"\right", "'", r"\overline", "0.", "...", r"\binom", r"\log", r"\sin", r"\pmod", "cm", r"\begin{cases}", r"\langle",
]), max_size=25)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(TOKENS, st.sampled_from(["{}", "{} ", "({})", "${}$", "{}.", "x={}", "{} cm", "-{}", "{{{}}}", "23"]))
def test_no_sequence_of_tokens_raises_and_each_is_compared_symmetrically(tokens: list[str], form: str) -> None:
    text = "".join(tokens)
    other = form.format(text)  # often equal to the text, often not
    assert same_answer(text, other)[0] == same_answer(other, text)[0]


def test_the_law_of_symmetry_sees_equal_and_unequal_pairs() -> None:
    pairs = [("x+1", "(x+1)"), ("23", "23 cm"), ("x<2", "x<2."), ("x+1", "-x+1"), ("23", "x=23"), ("1,2", "23")]
    assert [same_answer(a, b)[0] for a, b in pairs] == [True, True, True, False, True, False]


@settings(max_examples=150, deadline=None)
@given(st.integers(min_value=2, max_value=9_999).filter(lambda n: math.isqrt(n) ** 2 != n), st.integers(min_value=0, max_value=3),
       st.sampled_from(["or", "which is", "that is", "i.e.", "so it is", "making it"]), st.sampled_from(["about", "roughly", "approximately", "close to"]))  # fmt: skip
def test_a_rounding_in_words_is_never_the_answer_beside_its_exact_value(
    n: int, digits: int, link: str, about: str
) -> None:
    rounded = f"{math.sqrt(n):.{digits}f}"
    response = f"The length is $\\sqrt{{{n}}}$, {link} {about} {rounded}."
    assert passes(response, f"\\sqrt{{{n}}}")
    assert not passes(response, rounded)
    assert not passes(f"The length is $\\sqrt{{{n}}}$, {link} {about} {float(rounded) + 10}.", f"\\sqrt{{{n}}}")


@settings(max_examples=100, deadline=None)
@given(st.integers(min_value=2, max_value=99), st.sampled_from(["Each child", "Then Maria", "So, the whole class", "In a week, Nora", "Therefore they"]),
       st.sampled_from(["eats", "has to pay", "will collect", "walked a distance of"]))  # fmt: skip
def test_a_text_that_is_cut_before_its_last_number_states_none_of_those_before(n: int, subject: str, verb: str) -> None:
    steps = f"There are {n} boxes of {n} pens, hence {n} * {n} = {n * n} pens."
    assert passes(f"{steps}\n{subject} {verb} {n + 1} pens.", str(n + 1))
    assert not any(passes(f"{steps}\n{subject} {verb}", str(number)) for number in (n, n * n))
