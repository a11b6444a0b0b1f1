"""Adversarial pairs by rule: from 3,000 real references, equal forms that must pass and near misses that must fail.

    EVOLTUNE_DATA=../shared/data python benchmarks/math_mutations.py [--references 3000] [--show 5] [--kind KIND]

Each rule knows from the text of a reference alone that its variant is equal, or that it is not: the verifier has no say in the
labels. A rule that does not fit a reference gives nothing. The table has accuracy, false positives and false negatives a kind;
the exit status is 1 if more than 0.2% of the near misses pass or more than 2% of the equal forms fail.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from fractions import Fraction

from public_data import data_folder

MAX_FALSE_POSITIVES, MAX_FALSE_NEGATIVES = 0.002, 0.02
Rule = Callable[[str], "str | None"]
_INTEGER = re.compile(r"-?\d{1,12}")
_DECIMAL = re.compile(r"-?\d{1,9}\.\d{1,9}")
_FRACTION = re.compile(r"(-?)\\d?frac\{(\d{1,9})\}\{(\d{1,9})\}")
_PERCENT = re.compile(r"(\d{1,3})\\?%")
_PAIR = re.compile(r"(\(|\\left\()([^(),]{1,40}),([^(),]{1,40})(\)|\\right\))")
_TUPLE = re.compile(r"\(([^()]*,[^()]*)\)")
_INTERVAL = re.compile(r"([(\[])([^(),\[\]]{1,30}),([^(),\[\]]{1,30})([)\]])")
_PLAIN = re.compile(r"-?[\d./]+|-?\\d?frac\{\d+\}\{\d+\}")
_LETTER = re.compile(r"(?<![A-Za-z\\])([b-dh-hj-np-z])(?![A-Za-z(_])")
_UNIT_WORD = re.compile(
    r"(-?[\d.,]+)\s*\\text\{\s*(cm|m|km|feet|inches|meters|miles|hours|minutes|seconds|dollars|cents)\s*\}"
)
_OTHER_UNIT = {"cm": "m", "m": "cm", "km": "m", "feet": "inches", "inches": "feet", "meters": "feet", "miles": "feet", "hours": "minutes",
               "minutes": "hours", "seconds": "minutes", "dollars": "euros", "cents": "dollars"}  # fmt: skip


def value_of(text: str) -> Fraction | None:
    """The value of a plain integer, decimal or fraction."""
    if _INTEGER.fullmatch(text) or _DECIMAL.fullmatch(text):
        return Fraction(text)
    found = _FRACTION.fullmatch(text)
    return Fraction(int(found[1] + found[2]), int(found[3])) if found and int(found[3]) else None


def items_of(text: str) -> list[str] | None:
    """The members of a bare list of plain numbers."""
    if "(" in text or "[" in text or "{," in text or re.search(r"\d,\d{3}(?!\d)", text):
        return None
    parts = [p.strip() for p in text.split(",")]
    return parts if len(parts) > 1 and all(_PLAIN.fullmatch(p) for p in parts) else None


def is_word(text: str) -> bool:
    return not re.search(r"\d", text) and bool(re.search(r"text|[A-Za-z]{2}", text))


def is_expression(text: str) -> bool:
    """Whether `text` may stand inside of brackets as one value."""
    return (
        not re.search(r"[,=<>\[]|text|\\le|\\ge|\\in|\\cup|\\pm|mbox|\\%|\\\$|begin|circ|[_:]|\.$", text)
        and bool(text)
        and not is_word(text)
    )


# ---- equal forms ---------------------------------------------------------------------------------------------------------


def boxed(r: str) -> str | None:
    return rf"So we get $\boxed{{{r}}}$."


def stated(r: str) -> str | None:
    return None if is_word(r) else f"The answer is ${r}$."


def labelled(r: str) -> str | None:
    return f"**Final Answer:** ${r}$"


def spaced(r: str) -> str | None:
    if "text" in r or re.search(r"\d[ ,]\d", r) or "mbox" in r:
        return None
    return re.sub(r"([+=,])", r" \1 ", r)


def resized(r: str) -> str | None:
    return (
        r.replace("\\frac", "\\tfrac")
        if "\\frac" in r
        else r.replace("(", "\\left(").replace(")", "\\right)")
        if "\\left" not in r and "(" in r
        else None
    )


def with_point_zero(r: str) -> str | None:
    return f"{r}.0" if _INTEGER.fullmatch(r) else None


def grouped(r: str) -> str | None:
    return f"{int(r):,}" if _INTEGER.fullmatch(r) and abs(int(r)) > 999 else None


def as_sum(r: str) -> str | None:
    return f"{int(r) - 7} + 7" if _INTEGER.fullmatch(r) else None


def as_root(r: str) -> str | None:
    return rf"\sqrt{{{int(r) ** 2}}}" if _INTEGER.fullmatch(r) and 0 < int(r) < 10**6 else None


def in_words(r: str) -> str | None:
    names = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
    return names[int(r)] if re.fullmatch(r"\d{1,2}", r) and int(r) < len(names) else None


def scaled_fraction(r: str) -> str | None:
    found = _FRACTION.fullmatch(r)
    return rf"{found[1]}\frac{{{3 * int(found[2])}}}{{{3 * int(found[3])}}}" if found else None


def slashed(r: str) -> str | None:
    found = _FRACTION.fullmatch(r)
    return f"{found[1]}{found[2]}/{found[3]}" if found else None


def exact_decimal(r: str) -> str | None:
    value = value_of(r)
    if value is None or value.denominator == 1 or 10**9 % value.denominator:
        return None
    return f"{float(value):.9f}".rstrip("0")


def mixed(r: str) -> str | None:
    value = value_of(r) if "frac" in r else None
    if value is None or value <= 1 or value.denominator == 1:
        return None
    whole, rest = divmod(value.numerator, value.denominator)
    return rf"{whole}\frac{{{rest}}}{{{value.denominator}}}"


def percent_as_fraction(r: str) -> str | None:
    found = _PERCENT.fullmatch(r)
    return rf"\frac{{{found[1]}}}{{100}}" if found else None


def with_zero(r: str) -> str | None:
    return f"{r} + 0" if is_expression(r) else None


def doubled_and_halved(r: str) -> str | None:
    return rf"\frac{{2\left({r}\right)}}{{2}}" if is_expression(r) and "!" not in r else None


def reordered_list(r: str) -> str | None:
    items = items_of(r)
    return " and ".join(reversed(items)) if items else None


def as_set(r: str) -> str | None:
    items = items_of(r)
    return r"\{" + ", ".join(items) + r"\}" if items and len({value_of(i) or i for i in items}) == len(items) else None


def as_inequality(r: str) -> str | None:
    found = _INTERVAL.fullmatch(r)
    if not found or (found[1] + found[4] in ("()", "[]") and "infty" not in r):
        return None
    if "infty" in found[2]:
        return f"x {'<' if found[4] == ')' else chr(92) + 'le'} {found[3]}" if "infty" not in found[3] else None
    if "infty" in found[3]:
        return f"x {'>' if found[1] == '(' else chr(92) + 'ge'} {found[2]}"
    return f"{found[2]} {'<' if found[1] == '(' else chr(92) + 'le'} x {'<' if found[4] == ')' else chr(92) + 'le'} {found[3]}"


def named(r: str) -> str | None:
    return f"n = {r}" if is_expression(r) and "n" not in r else None


def without_unit(r: str) -> str | None:
    found = _UNIT_WORD.fullmatch(r)
    return found[1] if found else None


def with_unit(r: str) -> str | None:
    return rf"{r}\text{{ units}}" if _INTEGER.fullmatch(r) else None


def without_degrees(r: str) -> str | None:
    return re.sub(r"\^\{?\\circ\}?", "", r) if "circ" in r and re.match(r"-?\d[\d.]*\^", r) else None


def in_html(r: str) -> str | None:
    return (
        f"<b>{r}</b>"
        if _INTEGER.fullmatch(r)
        else re.sub(r"\^(\d)", r"<sup>\1</sup>", r)
        if re.search(r"[a-z]\^\d", r) and is_expression(r)
        else None
    )


EQUAL: dict[str, Rule] = {
    rule.__name__: rule for rule in (
        boxed, stated, labelled, spaced, resized, with_point_zero, grouped, as_sum, as_root, in_words, scaled_fraction, slashed, exact_decimal,
        mixed, percent_as_fraction, with_zero, doubled_and_halved, reordered_list, as_set, as_inequality, named, without_unit, with_unit,
        without_degrees, in_html,
    )
}  # fmt: skip


# ---- near misses ---------------------------------------------------------------------------------------------------------


def other_sign(r: str) -> str | None:
    if not is_expression(r) or value_of(r) == 0 or re.search(r"\\infty|\\emptyset", r) or "arbitrary" in r:
        return None
    return f"-({r})"


def off_by_one(r: str) -> str | None:
    return f"{r} + 1" if is_expression(r) else None


def other_digit(r: str) -> str | None:
    digits = [m for m in re.finditer(r"\d", r)]
    if not digits or "text" in r or re.fullmatch(r"[A-Z_\d]+", r):
        return None
    last = digits[-1]
    changed = r[: last.start()] + str((int(last[0]) + 3) % 10) + r[last.end() :]
    if re.search(r"[=^_]", r) or r.count("0") == len(digits):
        return None
    return None if re.search(r"frac\{?0|\{0\}|/0", changed) else changed


def digit_more(r: str) -> str | None:
    return f"{r}0" if _INTEGER.fullmatch(r) and int(r) else None


def rounded(r: str) -> str | None:
    value = value_of(r)
    if value is None or 10**12 % value.denominator == 0:
        return None
    return f"{float(value):.4f}"


def inverted(r: str) -> str | None:
    found = _FRACTION.fullmatch(r)
    if not found or int(found[2]) in (0, int(found[3])):
        return None
    return rf"{found[1]}\frac{{{found[3]}}}{{{found[2]}}}"


def swapped_pair(r: str) -> str | None:
    found = _PAIR.fullmatch(r)
    first, second = (found[k].replace("\\right", "").strip() for k in (2, 3)) if found else ("", "")
    return f"({second}, {first})" if first != second else None


def shorter_tuple(r: str) -> str | None:
    found = _TUPLE.fullmatch(r)
    parts = found[1].split(",") if found else []
    return f"({','.join(parts[:-1])})" if len(parts) > 2 else None


def other_end(r: str) -> str | None:
    found = _INTERVAL.fullmatch(r)
    if not found or ("infty" in found[2] and "infty" in found[3]):
        return None
    if "infty" in found[3]:
        return f"{'[' if found[1] == '(' else '('}{found[2]},{found[3]}{found[4]}"
    return f"{found[1]}{found[2]},{found[3]}{']' if found[4] == ')' else ')'}"


def other_unit(r: str) -> str | None:
    found = _UNIT_WORD.fullmatch(r)
    return rf"{found[1]}\text{{ {_OTHER_UNIT[found[2]]}}}" if found else None


def percent_lost(r: str) -> str | None:
    found = _PERCENT.fullmatch(r)
    return found[1] if found and int(found[1]) else None


def one_more(r: str) -> str | None:
    if items_of(r):
        return f"{r}, 997"
    return f"{r}, 997" if is_expression(r) and "997" not in r and not re.search(r"\d,\d", r) else None


def one_less(r: str) -> str | None:
    items = items_of(r)
    return ", ".join(items[:-1]) if items and len({value_of(i) or i for i in items}) == len(items) else None


def repeated(r: str) -> str | None:
    return f"{r} or 997" if _INTEGER.fullmatch(r) and r != "997" else None


def other_letter(r: str) -> str | None:
    letters = set(_LETTER.findall(r))
    if len(letters) != 1 or not is_expression(r) or re.search(r"[A-Z(]", r):
        return None
    (letter,) = letters
    return re.sub(rf"(?<![A-Za-z\\]){letter}(?![A-Za-z])", "w" if letter != "w" else "v", r)


def denied(r: str) -> str | None:
    return f"not {r}" if _PLAIN.fullmatch(r) else None


def at_least(r: str) -> str | None:
    return f"at least {r}" if _PLAIN.fullmatch(r) else None


def or_more(r: str) -> str | None:
    return rf"{r} \text{{ or more}}" if _PLAIN.fullmatch(r) else None


def minus_in_words(r: str) -> str | None:
    return f"minus {r}" if re.fullmatch(r"\d+", r) and int(r) else None


def in_millions(r: str) -> str | None:
    return rf"\boxed{{{r}}} million" if re.fullmatch(r"\d+", r) and int(r) else None


def minus_before_box(r: str) -> str | None:
    return rf"$x = -\boxed{{{r}}}$" if re.fullmatch(r"\d+", r) and int(r) else None


def digit_behind_box(r: str) -> str | None:
    return rf"$\boxed{{{r}}}0$" if re.fullmatch(r"\d+", r) and int(r) else None


def two_values(r: str) -> str | None:
    return f"{r} = {int(r) + 1}" if _INTEGER.fullmatch(r) else None


def misrounded(r: str) -> str | None:
    is_whole = _INTEGER.fullmatch(r) and abs(int(r)) < 10**6
    return rf"{r} \approx {int(r) + 3}" if is_whole and (int(r) + 3) % 10 else None  # `8 \approx 10` is a rounding


def squared(r: str) -> str | None:
    value = value_of(r)
    return f"{r} squared" if _INTEGER.fullmatch(r) and value not in (0, 1, -1) else None


def overridden(r: str) -> str | None:
    return rf"First \boxed{{{r}}}, but that is wrong. Final answer: {int(r) + 1}" if _INTEGER.fullmatch(r) else None


def tiny_more(r: str) -> str | None:
    return f"{r} + e^{{-100}}" if is_expression(r) and not re.search(r"infty|emptyset", r) else None


def kinked(r: str) -> str | None:
    return rf"{r} + \max(0, x - 50)" if is_expression(r) and not re.search(r"infty|emptyset", r) else None


MISSES: dict[str, Rule] = {
    rule.__name__: rule for rule in (
        other_sign, off_by_one, other_digit, digit_more, rounded, inverted, swapped_pair, shorter_tuple, other_end, other_unit, percent_lost,
        one_more, one_less, repeated, other_letter, denied, at_least, or_more, minus_in_words, in_millions, minus_before_box, digit_behind_box,
        two_values, misrounded, squared, overridden, tiny_more, kinked,
    )
}  # fmt: skip


# ---- the report ----------------------------------------------------------------------------------------------------------


def references(count: int) -> list[str]:
    path = data_folder() / "math_answers/math_test_gold_answers.jsonl.gz"
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        found = [json.loads(line)["answer"] for line in lines]
    return found[:: max(1, len(found) // count)][:count]


def pairs(found: list[str]) -> Iterator[tuple[str, bool, str, str]]:
    """(kind, whether equal, answer, reference); each distinct pair once."""
    seen: set[tuple[str, str]] = set()
    for reference in found:
        for rules, equal in ((EQUAL, True), (MISSES, False)):
            for kind, rule in rules.items():
                answer = rule(reference)
                if answer is not None and (equal or answer != reference) and (answer, reference) not in seen:
                    seen.add((answer, reference))
                    yield kind, equal, answer, reference


def judge(
    count: int, only: str = ""
) -> tuple[Counter[tuple[bool, str]], dict[tuple[bool, str], list[tuple[str, str]]]]:
    """(pairs a kind, the wrongly judged ones a kind)."""
    from evoltune_math import check

    totals: Counter[tuple[bool, str]] = Counter()
    wrong: dict[tuple[bool, str], list[tuple[str, str]]] = defaultdict(list)
    for kind, equal, answer, reference in pairs(references(count)):
        if only and kind != only:
            continue
        totals[equal, kind] += 1
        if (check(answer, reference).status == "pass") is not equal:
            wrong[equal, kind].append((answer, reference))
    return totals, wrong


def rates(
    totals: Counter[tuple[bool, str]], wrong: dict[tuple[bool, str], list[tuple[str, str]]]
) -> tuple[float, float]:
    """(false positives among the near misses, false negatives among the equal forms)."""
    shares = []
    for side in (False, True):
        count = sum(n for (equal, _), n in totals.items() if equal is side)
        shares.append(sum(len(w) for (equal, _), w in wrong.items() if equal is side) / max(1, count))
    return shares[0], shares[1]


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--references", type=int, default=3000)
    options.add_argument("--show", type=int, default=0, metavar="N", help="wrongly judged pairs of each kind to print")
    options.add_argument("--kind", default="", help="only this rule")
    chosen = options.parse_args()
    totals, wrong = judge(chosen.references, chosen.kind)
    print("| kind | pairs | accuracy % | wrong |\n|---|---|---|---|")
    for equal in (True, False):
        print(f"| **{'equal forms' if equal else 'near misses'}** | | | {'FN' if equal else 'FP'} |")
        for (side, kind), count in totals.items():
            if side is equal:
                missed = wrong[side, kind]
                print(f"| {kind} | {count} | {100 * (1 - len(missed) / count):.2f} | {len(missed)} |")
                for answer, reference in missed[: chosen.show]:
                    print(f"    {answer!r} against {reference!r}")
    false_positives, false_negatives = rates(totals, wrong)
    count = sum(totals.values())
    right = count - sum(map(len, wrong.values()))
    print(
        f"\n{count} pairs: accuracy {100 * right / count:.2f}%, FP {100 * false_positives:.2f}%, FN {100 * false_negatives:.2f}%"
    )
    return int(false_positives > MAX_FALSE_POSITIVES or false_negatives > MAX_FALSE_NEGATIVES)


if __name__ == "__main__":
    sys.exit(main())
