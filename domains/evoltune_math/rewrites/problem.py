"""A word problem and its worked solution, read so that every number of the solution has one source.

    problem = read_problem(task, "17 + 7 = 24\\n#### 24")      # a Problem, or in a few words why it cannot be read
    problem.results((Fraction(3), Fraction(9)))                # (12,): the steps with other quantities

Invariant: each number in a step is exactly one of: a quantity of the text, the result of an earlier step, or a constant (2 for
half, 60 for an hour). Where two sources are possible, where a quantity is not used, or where a step does not compute, the problem
is refused: an edit of it would be a guess.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from evoltune.record import Task
from evoltune_math.answers.algebra.rational import known_rational
from evoltune_math.worked_solutions import MARKED_ANSWER, NUMBER_WORDS, arithmetic

MAX_STEPS, MAX_TEXT = 12, 1500
IMPLIED = {
    "half": (2,), "halves": (2,), "twice": (2,), "double": (2,), "doubles": (2,), "doubled": (2,), "both": (2,), "pair": (2,), "pairs": (2,),
    "couple": (2,), "average": (2, 3, 4, 5), "mean": (2, 3, 4, 5), "third": (3,), "thirds": (3,), "triple": (3,), "triples": (3,), "thrice": (3,),
    "quarter": (4, 25), "quarters": (4, 25), "nickel": (5,), "nickels": (5,), "dime": (10,), "dimes": (10,), "fourth": (4,), "square": (4, 2), "fifth": (5,), "sixth": (6,), "week": (7,), "weeks": (7,), "weekly": (7,),
    "decade": (10,), "dozen": (12,), "dozens": (12,), "year": (12, 52, 365), "years": (12, 52, 365), "foot": (12,), "feet": (12,), "day": (24,),
    "days": (24, 7), "month": (30, 4), "months": (30, 12), "hour": (60,), "hours": (60, 24), "minute": (60,), "minutes": (60,), "percent": (100,), "percentage": (100,),
    "rectangle": (2,), "rectangular": (2,), "perimeter": (2, 4), "fence": (2,), "wide": (2,), "width": (2,), "dollar": (100,), "dollars": (100,),
}  # fmt: skip
"""Words that bring a number of their own into a solution. A number that neither the text nor such a word gives is invented."""
_NUMBER = re.compile(r"\$?\d[\d,]*(?:\.\d+)?(?:/\d+)?%?|[A-Za-z]+")
_FORBIDDEN = re.compile(
    r"\d:\d\d|\b\d{1,2}\s?(?:am|pm|a\.m\.|p\.m\.|o'clock)|\b(?:1[89]|20)\d\d\b|\bat (?:least|most)\b|\b(?:round|rounded|nearest|approximately|"
    r"probability|ratio|remainder|maximum|minimum|consecutive|prime|digits?|clock|born)\b|\d\s*[-+*/=^]\s*\d|[\\{}¼½¾⅓⅔⅛]|\bx\b|\bn\b",
    re.I,
)
"""Numbers that carry a meaning of their own, and tasks whose answer is no plain function of the numbers."""
_BODY = re.compile(
    r"\s+(?:legs?|wheels?|tyres?|tires?|eyes?|wings?|sides?|faces?|corners?|hands?|fingers?|toes?|arms?|paws?|strings?|seasons?|suits?|petals?|hours? in a day"
    r"|minutes? in an hour|days? in a week|(?:days?|weeks?|months?) (?:in|of) (?:a|the) (?:week|month|year))\b",
    re.I,
)
"""After a number: it is so in the world, and cannot be another."""
_WORLD = re.compile(
    r"\b(?:alphabet|chess\s?board|leap|boil(?:s|ed|ing)?|melt(?:s|ed|ing)?|freez(?:es|ing) (?:at|point)|angles?|triangles?\b[^.?!]*\bsides?|sides? of (?:a|the) triangle"
    r"|deck|(?:pack|set) of cards|planets?|continents?|zodiac|octopus(?:es)?|piano|speed of (?:light|sound))\b",
    re.I,
)
"""In a sentence: its numbers are so in the world, or bound by a law that is not in the solution."""
_COIN_AFTER = re.compile(
    r"[\s-]+(?:(?:dollars?|euros?|pounds?|francs?|cents?|pence|p)[\s-]+)?(?:bill|note|coin)s?\b", re.I
)
_COIN_BEFORE = re.compile(r"\b(?:bills?|notes?|coins?) of (?:[$€£¥₹]|CHF |EUR |USD )?$", re.I)
"""What bills and coins are worth: there is none of any other worth."""
_MINUS = str.maketrans({"\u2212": "-", "\u22c5": "*", "\u00b7": "*", "\u2219": "*"})
_TIME = re.compile(
    r"\s+(?:full |more |school |work(?:ing)? )?(?:seconds?|minutes?|hours?|days?|nights?|weeks?|months?|years?|times?)\b",
    re.I,
)
_PERCENT = re.compile(r"\s+per ?cent\b", re.I)
_INLINE = re.compile(r"([-\d.,$%()+*/×÷\s]*\d[\d.,$%()+*/×÷x\s-]*)=\s*\$?\s*(-?[\d,]*\.?\d+)")
_ANNOTATED = re.compile(r"<<([^=<>]{1,200})=([^<>]{1,60})>>")
_LITERAL = re.compile(r"\d[\d,]*(?:\.\d+)?|\.\d+")
_SENTENCE = re.compile(r"[^.?!]+(?:\.(?=\d)[^.?!]*)*[.?!]*\s*")
LISTED = re.compile(r"[^\s,]+(?:, [^,.?!]{1,30})+,? and \S+")


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """A number of the text, with its place."""

    value: Fraction
    start: int
    end: int
    kind: str
    """"count", "money", "percent", "time", or "fixed": it cannot be another number without changing the rest."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One equation: `pieces` and references alternate, so that it can be written with other values."""

    pieces: tuple[str, ...]
    sources: tuple[str, ...]
    """Of each number: q0 (quantity), p0 (a percent quantity as a share of 1), r0 (result of a step) or the constant itself."""

    def written(self, values: Sequence[str]) -> str:
        return self.pieces[0] + "".join(value + piece for value, piece in zip(values, self.pieces[1:], strict=True))


@dataclass(frozen=True, kw_only=True)
class Problem:
    text: str
    solution: str
    quantities: tuple[Quantity, ...]
    steps: tuple[Step, ...]
    values: tuple[Fraction, ...]
    """The steps' results as stated; the last one is the answer."""

    @property
    def given(self) -> tuple[Fraction, ...]:
        return tuple(q.value for q in self.quantities)

    @property
    def answer(self) -> Fraction:
        return self.values[-1]

    def sentences(self) -> list[tuple[int, int]]:
        """(start, end) of each sentence; the last one asks."""
        return [match.span() for match in _SENTENCE.finditer(self.text)]

    def uses(self, source: str) -> int:
        """How often the steps use a quantity or a result."""
        names = (source, source.replace("q", "p"))
        return sum(found in names for step in self.steps for found in step.sources)

    def results(self, given: Sequence[Fraction]) -> tuple[Fraction, ...] | None:
        """The results with other quantities; None where a step has no value, or none that can be written."""
        found: list[Fraction] = []
        for step in self.steps:
            value = value_of(step.written([shown(v) for v in self._values(step, given, found)]))
            if value is None or not shown(value):
                return None
            found.append(value)
        return tuple(found)

    def _values(self, step: Step, given: Sequence[Fraction], found: Sequence[Fraction]) -> list[Fraction]:
        kinds = {"q": lambda i: given[i], "p": lambda i: given[i] / 100, "r": lambda i: found[i]}
        return [kinds[s[0]](int(s[1:])) if s[0] in kinds else Fraction(s) for s in step.sources]

    def lines(self, given: Sequence[Fraction]) -> list[str]:
        """The steps as equations, with other quantities."""
        found = self.results(given) or ()
        written = (step.written([shown(v) for v in self._values(step, given, found)]) for step in self.steps)
        return [f"{left} = {shown(value)}" for left, value in zip(written, found, strict=True)]


@lru_cache(maxsize=65_536)
def value_of(expression: str) -> Fraction | None:
    """The exact value of an expression of the four operations and percent."""
    tree = arithmetic(expression)
    return known_rational(tree) if tree is not None else None


def shown(value: Fraction) -> str:
    """A whole number or a decimal of at most four places; "" for any other."""
    if value.denominator == 1:
        return str(value.numerator)
    scaled = value * 10_000
    return f"{float(value):.4f}".rstrip("0") if scaled.denominator == 1 else ""


def read_problem(task: Task, solution: str) -> Problem | str:
    """The problem with its solution, or why it cannot be read with certainty."""
    text = task.instruction
    if len(text) > MAX_TEXT or _FORBIDDEN.search(text) or not text.rstrip().endswith("?"):
        return "the text has more than numbers and one question at its end"
    equations = equations_of(solution)
    if not equations or len(equations) > MAX_STEPS:
        return "no worked solution of plain equations"
    answer = MARKED_ANSWER.findall(solution)
    stated = value_of(task.reference) if task.reference else None
    if stated is None or stated != equations[-1][1] or (answer and value_of(answer[-1].replace(",", "")) != stated):
        return "the solution does not end in the reference"
    quantities = quantities_of(text)
    steps = _bound(equations, quantities, _constants_in(text))
    if isinstance(steps, str):
        return steps
    problem = Problem(
        text=text,
        solution=solution,
        quantities=quantities,
        steps=steps,
        values=tuple(result for _, result in equations),
    )
    if problem.results(problem.given) != problem.values:
        return "a step of the solution does not compute"
    if any(not problem.uses(f"r{i}") for i in range(len(steps) - 1)):
        return "a step of the solution is not used"
    if any(not problem.uses(f"q{i}") for i, q in enumerate(quantities) if q.kind != "fixed"):
        return "the solution does not use a number of the text"
    return problem


def equations_of(solution: str) -> list[tuple[str, Fraction]]:
    """(left side, value) of each equation: calculator annotations, else equations between the words. [] where one is wrong."""
    found: list[tuple[str, Fraction]] = []
    solution = solution.translate(_MINUS)
    for left, right in _ANNOTATED.findall(solution) or _INLINE.findall(solution.partition("####")[0]):
        left = (
            re.sub(r"(?<=[\d)%])\s*[x×]\s*(?=[\d(.$])", " * ", left).replace("÷", "/").replace("$", "").replace(",", "")
        )
        left = re.sub(r"\s+", " ", left).strip(" .*/+)-" if left.count("(") == left.count(")") - 1 else " .*/+-")
        value, stated = value_of(left), value_of(right.replace(",", "").lstrip("$"))
        if value is None or value != stated or not re.search(r"[-+*/%]", left) or not shown(value):
            return []
        found.append((left, value))
    return found


def quantities_of(text: str) -> tuple[Quantity, ...]:
    """The numbers of a text, words and numerals, in order."""
    listed = {len(re.split(r", (?:and )?| and ", m[0])) for m in LISTED.finditer(text)}
    found: list[Quantity] = []
    for match in _NUMBER.finditer(text):
        word = match[0]
        if word[0].isalpha():
            value = NUMBER_WORDS.get(word.lower())
            if value is not None and value > 1 and value.denominator == 1 and word.lower() not in IMPLIED:
                found.append(Quantity(value=value, start=match.start(), end=match.end(), kind="fixed"))
            continue
        value = value_of(word.strip("$%").rstrip(",").replace(",", ""))
        if value is not None:
            end = match.start() + len(word.rstrip(","))
            found.append(
                Quantity(value=value, start=match.start(), end=end, kind=_kind(text, match.start(), end, value, listed))
            )
    return tuple(found)


def _kind(text: str, start: int, end: int, value: Fraction, listed: set[int]) -> str:
    before, after = text[:start], text[end:]
    is_attached = before[-1:].isalnum() or before[-1:] in ("-", ".", "/") or re.match(r"[A-Za-z/]|-[A-Za-z\d]", after)
    is_structure = value in listed and text[start] != "$"
    number = text[start:end]
    if is_attached or is_structure or "/" in number or value <= 1 or value.denominator != 1 or _BODY.match(after):
        return "fixed"
    if re.search(
        r"\b(?:an|number|no\.|grade|floor|room|page|chapter|level|day|week|step|(?:year|month|week|day|hour|minute) has) $",
        before,
        re.I,
    ):
        return "fixed"
    is_money = text[start] == "$" or before[-1:] in ("£", "€", "¥", "₹")
    coin = _COIN_AFTER.match(after)
    if (
        _COIN_BEFORE.search(before)
        or (coin and (is_money or len(coin[0].split()) > 1))
        or _is_of_the_world(text, start)
    ):
        return "fixed"
    if number.endswith("%") or _PERCENT.match(after):
        return "percent"
    if _TIME.match(after):
        return "time"
    return "money" if number.startswith("$") or re.match(r"\s+(?:dollars?|cents?)\b", after) else "count"


def _is_of_the_world(text: str, place: int) -> bool:
    """Whether a number states what is so in the world: its sentence does, or counts legs (`8 legs, and an ant has 6`)."""
    start, sentence = next((m.start(), m[0]) for m in _SENTENCE.finditer(text) if m.end() > place)
    has_no_noun = re.match(r"\d+\s*(?:[.,;?!]|and\b|$)", sentence[place - start :])
    counts_parts = any(_BODY.match(sentence, m.end()) for m in _LITERAL.finditer(sentence))
    return bool(_WORLD.search(sentence) or (has_no_noun and counts_parts))


def _constants_in(text: str) -> frozenset[Fraction]:
    words = re.findall(r"[a-z]+", text.lower().replace("%", " percent ").replace("$", " dollars "))
    return frozenset(Fraction(n) for word in words for n in IMPLIED.get(word, ())) | {Fraction(1)}


def _bound(
    equations: Sequence[tuple[str, Fraction]], quantities: Sequence[Quantity], implied: frozenset[Fraction]
) -> tuple[Step, ...] | str:
    """The equations with the one source of each of their numbers."""
    steps: list[Step] = []
    for left, _ in equations:
        results = [value for _, value in equations[: len(steps)]]
        pieces, sources, at = [], [], 0
        for match in _LITERAL.finditer(left):
            value = value_of(match[0])
            assert value is not None
            candidates = [f"q{i}" for i, q in enumerate(quantities) if q.value == value]
            candidates += [f"p{i}" for i, q in enumerate(quantities) if q.kind == "percent" and q.value == value * 100]
            candidates += [f"r{i}" for i, result in enumerate(results) if result == value]
            if len(candidates) > 1 or (candidates and value in implied):
                return "a number of the solution may be more than one thing"
            if not candidates and value not in implied:
                return "a number of the solution comes from nowhere"
            sources.append(candidates[0] if candidates else shown(value))
            pieces.append(left[at : match.start()])
            at = match.end()
        if len({s for s in sources if s[0] in "qr"}) < sum(s[0] in "qr" for s in sources):
            return "a step uses a number twice"
        steps.append(Step(pieces=(*pieces, left[at:]), sources=tuple(sources)))
    return tuple(steps)
