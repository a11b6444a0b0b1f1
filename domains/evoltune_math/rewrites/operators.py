"""The rewrite functions: renumber, invert, extend, shorten, convert, aggregate, chain, combine.

    child = renumber([seed], random.Random(1), context)       # Rewritten(task, solution), or why there is none

Each edits the equations of a solution that ends in the reference; the new reference follows by computing. A problem that
`read_problem` cannot read with certainty is refused, so that each number of a child has one source and none is invented.
"""

import random
import re
from collections.abc import Callable, Sequence
from fractions import Fraction

from evoltune.domain import Context, Rewritten
from evoltune.record import Record, Task
from evoltune_math.rewrites.inversion import undone
from evoltune_math.rewrites.numbers import keeps_order, movable, other_numbers, replaced, solution_with, with_numbers
from evoltune_math.rewrites.problem import Problem, read_problem, shown, value_of
from evoltune_math.worked_solutions import number_slots

UNITS = {
    "dollars": ("cents", 100), "metres": ("centimetres", 100), "meters": ("centimeters", 100), "kilometres": ("metres", 1000),
    "kilometers": ("meters", 1000), "hours": ("minutes", 60), "minutes": ("seconds", 60), "litres": ("millilitres", 1000),
    "liters": ("milliliters", 1000), "kilograms": ("grams", 1000), "kilos": ("grams", 1000),
}  # fmt: skip
"""Units whose smaller one is always so many."""
SOLD = frozenset(
    "apples badges balloons balls books buttons cakes candies cards chairs cookies crayons cups eggs flowers marbles magnets muffins notebooks "
    "oranges pencils pens pictures photos pies rolls sandwiches shells stamps stickers stones toys".split()
)
"""Things that can be sold one by one."""
_ASKED = re.compile(r"\bHow many ([a-z]+)\b(?![^.?!]*\bHow many\b)", re.I)
_LEFT = re.compile(r"\b(?:left|remain(?:s|ing)?|still)\b")
"""Asks for what is left: something must be taken away."""
_OVERLAP = re.compile(r"\b(?:both|neither|of (?:them|these|those|which|whom))\b", re.I)
LARGEST = 1_000_000


def _solved(parent: Record) -> Problem | str:
    """The parent with the first of its answers that ends in the reference and can be read."""
    reasons = []
    for answer in parent.answers:
        if answer.verdict is None or answer.verdict.status == "pass":
            problem = read_problem(parent.task, answer.text)
            if isinstance(problem, Problem):
                return problem
            reasons.append(problem)
    return reasons[0] if reasons else "no worked solution"


def _one(
    edit: Callable[[Problem, random.Random], Rewritten | str], parents: Sequence[Record], rng: random.Random
) -> Rewritten | str:
    problem = _solved(parents[0])
    return problem if isinstance(problem, str) else edit(problem, rng)


def _rewritten(text: str, lines: Sequence[str], answer: Fraction) -> Rewritten | str:
    """The child, where its answer can be written: `lines` are the steps before `####`."""
    if not shown(answer) or not 0 < answer <= LARGEST:
        return "the new answer is no plain positive number"
    solution = "\n".join([*lines, f"#### {shown(answer)}"])
    return Rewritten(task=Task(instruction=text, reference=shown(answer)), solution=solution)


def _steps_of(solution: str) -> str:
    return solution.partition("####")[0].rstrip()


def renumber(parents: Sequence[Record], rng: random.Random, context: Context) -> Rewritten | str:
    """The same situation with other numbers."""
    return _one(_renumber, parents, rng)


def _renumber(problem: Problem, rng: random.Random) -> Rewritten | str:
    given = other_numbers(problem, rng)
    if given is None:
        return "no other numbers fit"
    text, solution = with_numbers(problem, given)
    results = problem.results(given)
    assert results is not None
    return _rewritten(text, [_steps_of(solution)], results[-1])


def invert(parents: Sequence[Record], rng: random.Random, context: Context) -> Rewritten | str:
    """A given becomes the question (FOBAR, 2308.07758; MetaMath, 2309.12284): the answer is stated, a number is asked for."""
    return _one(_invert, parents, rng)


def _invert(problem: Problem, rng: random.Random) -> Rewritten | str:
    free = [i for i in movable(problem) if problem.quantities[i].value < LARGEST]
    rng.shuffle(free)
    for i in free:
        lines = undone(problem, i)
        if lines:
            text = f"{replaced(problem, {i: 'x'}).rstrip()} If the answer to this question is {shown(problem.answer)}, what is the value of x?"
            return _rewritten(text, lines, problem.quantities[i].value)
    return "no number can be found from the answer step by step"


def extend(parents: Sequence[Record], rng: random.Random, context: Context) -> Rewritten | str:
    """One more step: what is asked becomes a given of a second question."""
    return _one(_extend, parents, rng)


def _extend(problem: Problem, rng: random.Random) -> Rewritten | str:
    answer, taken = problem.answer, {*problem.given, *problem.values}
    if answer.denominator != 1:
        return "the answer is not whole"
    asked = _ASKED.search(problem.text[problem.sentences()[-1][0] :])
    number = Fraction(rng.choice([k for k in range(2, 30) if k not in taken][:8]))
    choices = [("Multiply that answer by {k}. What is the result?", "*")]
    if asked and asked[1].lower() in SOLD:
        choices = [(f"If each of these {asked[1].lower()} is sold for ${{k}}, how many dollars is that in all?", "*")]
    elif answer > number + 1:
        choices += [
            ("Subtract {k} from that answer. What is the result?", "-"),
            ("Add {k} to that answer. What is the result?", "+"),
        ]
    if answer % number == 0 and answer > number:
        choices += [("Divide that answer by {k}. What is the result?", "/")]
    sentence, sign = rng.choice(choices)
    k = shown(number)
    result = {"*": answer * number, "+": answer + number, "-": answer - number, "/": answer / number}[sign]
    line = f"{shown(answer)} {sign} {k} = {shown(result)}"
    text = f"{problem.text.rstrip()} {sentence.format(k=k)}"
    return _rewritten(text, [_steps_of(solution_with(problem, problem.given)), line], result)


def shorten(parents: Sequence[Record], rng: random.Random, context: Context) -> Rewritten | str:
    """A sentence whose numbers are only added or subtracted is left out, with its steps (WizardMath's downward evolution)."""
    return _one(_shorten, parents, rng)


def _shorten(problem: Problem, rng: random.Random) -> Rewritten | str:
    sentences = problem.sentences()
    asked = next(i for i, (_, end) in enumerate(sentences) if problem.text[:end].rstrip().endswith("?"))
    middle = list(range(1, asked))  # what follows a question speaks of its answer
    rng.shuffle(middle)
    for number in middle:
        start, end = sentences[number]
        inside = [i for i, q in enumerate(problem.quantities) if start <= q.start < end]
        others = problem.text[:start], problem.text[start:end], problem.text[end:]
        lines = _without(problem, inside) if inside and not _introduces(*others) else None
        if lines and not (_LEFT.search(others[2]) and not any("-" in line for line in lines)):
            answer = Fraction(lines[-1].rpartition("= ")[2])
            return _rewritten((others[0] + others[2]).strip(), lines, answer)
    return "no sentence can be left out"


def _introduces(before: str, sentence: str, after: str) -> bool:
    """Whether what follows speaks of something that only this sentence names."""
    words = {w.lower().rstrip("s") for w in re.findall(r"[A-Za-z]{3,}", sentence)}
    known = {w.lower().rstrip("s") for w in re.findall(r"[A-Za-z]{3,}", before)}
    later = {w.lower().rstrip("s") for w in re.findall(r"[A-Za-z]{3,}", after)}
    common = {
        "the",
        "and",
        "how",
        "many",
        "doe",
        "did",
        "for",
        "are",
        "have",
        "has",
        "she",
        "her",
        "his",
        "him",
        "they",
        "now",
        "each",
        "all",
    }
    compares = re.search(r"\b(?:than|times|half|twice|each|every|per|rest|others?|equally|of them)\b", sentence)
    is_a_part = re.search(r"\b(?:weigh(?:s|ed)?|empty)\b", sentence)  # of the whole, also where nobody says so
    return bool(
        compares
        or is_a_part
        or (words & later) - known - common
        or re.search(r"\b(?:than|both|together|rest|others?|left over)\b", after)
    )


def _without(problem: Problem, dropped: Sequence[int]) -> list[str] | None:
    """The equations without the steps that add or subtract these quantities to a running value; None where that is not all that
    is done with them."""
    stands_for: dict[str, str] = {}
    kept: list[int] = []
    for number, step in enumerate(problem.steps):
        found = [s for s in step.sources if s in {f"q{i}" for i in dropped}]
        if not found:
            kept.append(number)
            continue
        other = [s for s in step.sources if s not in found]
        sign = "".join(step.pieces).strip()
        if len(step.sources) != 2 or len(other) != 1 or sign not in ("+", "-") or other[0][0] not in "qr":
            return None
        if (sign == "-" and step.sources[0] != other[0]) or problem.uses(other[0]) != 1:
            return None
        stands_for[f"r{number}"] = stands_for.get(other[0], other[0])
    used = {f"q{i}" for i in dropped} - {
        s for n, step in enumerate(problem.steps) if n not in kept for s in step.sources
    }
    if used or not kept or not stands_for:
        return None
    values = {f"q{i}": q.value for i, q in enumerate(problem.quantities)}
    lines: list[str] = []
    for number in kept:
        step = problem.steps[number]
        sources = [stands_for.get(s, s) for s in step.sources]
        if len(set(sources)) < len(sources):
            return None
        line = step.written(
            [
                shown(values[s]) if s in values else shown(values[f"q{s[1:]}"] / 100) if s[0] == "p" else s
                for s in sources
            ]
        )
        result = _computed(line)
        if result is None or result <= 0 or (problem.values[number].denominator == 1 and result.denominator != 1):
            return None
        values[f"r{number}"] = result
        lines.append(f"{line} = {shown(result)}")
    return lines


def _computed(line: str) -> Fraction | None:
    from_text = value_of(line)
    return from_text if from_text is not None and shown(from_text) else None


def convert(parents: Sequence[Record], rng: random.Random, context: Context) -> Rewritten | str:
    """The answer in a smaller unit."""
    return _one(_convert, parents, rng)


def _convert(problem: Problem, rng: random.Random) -> Rewritten | str:
    start = problem.sentences()[-1][0]
    asked = _ASKED.search(problem.text, start)
    if not asked or asked[1].lower() not in UNITS:
        return "the question names no unit that has a smaller one"
    unit, factor = UNITS[asked[1].lower()]
    text = problem.text[: asked.start(1)] + unit + problem.text[asked.end(1) :]
    if re.search(rf"\b{unit}\b", problem.text, re.I) or Fraction(factor) in {*problem.given, *problem.values}:
        return "the smaller unit is there already"
    answer = problem.answer * factor
    line = f"{shown(problem.answer)} * {factor} = {shown(answer)}"
    return _rewritten(text, [_steps_of(solution_with(problem, problem.given)), line], answer)


def aggregate(parents: Sequence[Record], rng: random.Random, context: Context) -> Rewritten | str:
    """The same situation twice, with other numbers the second time; the sum of both results is asked for."""
    return _one(_aggregate, parents, rng)


def _aggregate(problem: Problem, rng: random.Random) -> Rewritten | str:
    given = other_numbers(problem, rng)
    if given is None:
        return "no other numbers fit"
    changed = [i for i, (old, new) in enumerate(zip(problem.given, given, strict=True)) if old != new]
    if set(given) & set(problem.given) - {problem.given[i] for i in range(len(given)) if i not in changed}:
        return "a new number is an old one"
    named = [problem.text[q.start : q.end] for q in problem.quantities]
    second = with_numbers(problem, given)
    results = problem.results(given)
    assert results is not None
    instead = " and ".join(f"{_numeral(named[i], shown(given[i]))} instead of {named[i]}" for i in changed)
    text = f"{problem.text.rstrip()} Work this out twice: first as it stands, then with {instead}. What is the sum of the two results?"
    total = problem.answer + results[-1]
    lines = [_steps_of(solution_with(problem, problem.given)), _steps_of(second[1])]
    return _rewritten(text, [*lines, f"{shown(problem.answer)} + {shown(results[-1])} = {shown(total)}"], total)


def _numeral(old: str, new: str) -> str:
    return re.sub(r"\d[\d,]*(?:\.\d+)?", new, old, count=1)


def chain(parents: Sequence[Record], rng: random.Random, context: Context) -> Rewritten | str:
    """The answer of one problem is a given of the next."""
    pair = [_solved(parent) for parent in parents]
    first, second = pair
    if isinstance(first, str) or isinstance(second, str):
        return next(p for p in pair if isinstance(p, str))
    free = movable(second)
    rng.shuffle(free)
    for i in free:
        given = tuple(first.answer if k == i else value for k, value in enumerate(second.given))
        if first.answer in second.given or not _may_stand(second, i, first.answer) or not _is_plain(second, given):
            continue
        results = second.results(given)
        assert results is not None
        text = (
            f"Let n be the answer to this question: {first.text.strip()}\n"
            f"Use n in this one: {replaced(second, {i: 'n'}).strip()}"
        )
        return _rewritten(
            text, [_steps_of(solution_with(first, first.given)), _steps_of(solution_with(second, given))], results[-1]
        )
    return "the answer of the first fits nowhere in the second"


def _may_stand(problem: Problem, place: int, value: Fraction) -> bool:
    """Whether a value has a size that this quantity may have."""
    old, kind = problem.quantities[place].value, problem.quantities[place].kind
    most = 0 if kind == "percent" else old if kind == "time" else 4 * old + 6
    return value.denominator == 1 and 2 <= value <= most


def _is_plain(problem: Problem, given: Sequence[Fraction]) -> bool:
    """Whether the results are positive, and whole where they were; nobody who does both is counted more often than those who do one."""
    results = problem.results(given)
    pairs = zip(results or (), problem.values, strict=False)
    is_whole = all(new > 0 and (new.denominator == 1 or old.denominator > 1) for new, old in pairs)
    overlaps = _OVERLAP.search(problem.text)
    return results is not None and is_whole and (not overlaps or keeps_order(problem, given))


def combine(parents: Sequence[Record], rng: random.Random, context: Context) -> Rewritten | str:
    """Two problems whose answers are joined: their sum, or how much larger the one is."""
    pair = [_solved(parent) for parent in parents]
    first, second = pair
    if isinstance(first, str) or isinstance(second, str):
        return next(p for p in pair if isinstance(p, str))
    if first.text == second.text:
        return "the two are the same"
    a, b = first.answer, second.answer
    if rng.random() < 0.5 or a == b:
        asks, total, line = "What is the sum of the two answers?", a + b, f"{shown(a)} + {shown(b)}"
    else:
        large, small = max(a, b), min(a, b)
        asks, total, line = (
            "How much larger is the larger of the two answers than the smaller?",
            large - small,
            f"{shown(large)} - {shown(small)}",
        )
    text = f"{first.text.strip()} Keep that answer.\n{second.text.strip()} Keep that answer, too.\n{asks}"
    lines = [_steps_of(solution_with(p, p.given)) for p in (first, second)]
    return _rewritten(text, [*lines, f"{line} = {shown(total)}"], total)


CHANGES = (re.compile(r"%|\bper ?cent\b"), re.compile(r"(?<![\w)])[-\u2212](?=\d)"), re.compile(r"[\u00bc-\u00be\u2150-\u215e]"),
           re.compile(r"[\u00b2\u00b3\u00b9\u2070-\u2079]"))  # fmt: skip
"""Percent, minus, fractions and exponents: what a wording must not put to the numbers that it keeps."""


def faithful(task: Task, wording: str) -> str:
    """What another wording of a rewritten problem changes: its numbers, its unknowns, or that it asks."""
    before, after = number_slots(task.instruction), number_slots(wording)
    if sorted(before) != sorted(after):
        return "other numbers"
    if before != after:  # which number belongs to what cannot be seen, so each keeps its place
        return "numbers in another order"
    unknown = re.compile(r"(?<![A-Za-z])[xn](?![A-Za-z])")
    places = [
        [len(number_slots(text[: m.start()])) for m in unknown.finditer(text)] for text in (task.instruction, wording)
    ]
    if bool(places[0]) != bool(places[1]):
        return "another unknown"
    if places[0] and (set(places[0]) - {len(before)}) - set(places[1]):
        return "the unknown stands for something else"
    signs = {sign: task.instruction.count(sign) for sign in "%"}
    if any(wording.count(sign) + wording.lower().count(" percent") < n for sign, n in signs.items()):
        return "a percentage is gone"
    if any(len(mark.findall(wording)) > len(mark.findall(task.instruction)) for mark in CHANGES):
        return "a sign that changes a number"
    if wording.count("?") > task.instruction.count("?"):
        return "asks more"
    return "" if "?" in wording else "asks nothing"
