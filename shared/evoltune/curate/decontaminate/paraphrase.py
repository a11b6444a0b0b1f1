"""Paraphrases of benchmark problems: the wording (TF-IDF) must agree, and so must the hard facts under it.

A rewriter changes words and keeps the numbers of a word problem, or the structure of a program. So a pair scores
wording^a x facts^(1-a): facts are the numbers (weighted by rarity), or the code with its names made slots.
At 1% false positives wording alone finds 67% of rephrased GSM8K, both find 96%.

    index = build_paraphrases([view(t.instruction) for t in tasks]); paraphrased(index, view(row))  ->  [(target, score)]

Thresholds and exponents were set on public sets (docs/contamination.md), with 1% false positives as the limit.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import log
from typing import Any, Literal

from evoltune.text.vectors import numpy

CANDIDATES = 20  # targets, nearest in wording, whose facts are compared
Facts = Literal["numbers", "code", "none"]
EXPONENT: Mapping[Facts, float] = {"numbers": 0.35, "code": 0.5, "none": 1.0}
THRESHOLD: Mapping[Facts, float] = {"numbers": 0.395, "code": 0.24, "none": 0.45}
LEAST_NUMBERS = 2  # fewer agree by chance
DOUBT = 2.0  # added to the weight of a pair's numbers: a few common ones that agree prove little (FP 1.0% -> 0.5%)
CODE_GRAM = 4

_STOP = frozenset(
    [
        "a",
        "an",
        "the",
        "of",
        "to",
        "and",
        "in",
        "is",
        "are",
        "be",
        "for",
        "on",
        "at",
        "with",
        "it",
        "its",
        "that",
        "this",
        "as",
        "by",
        "from",
        "or",
        "was",
        "were",
        "he",
        "she",
        "his",
        "her",
        "they",
        "their",
        "them",
        "has",
        "have",
        "had",
        "how",
        "many",
        "much",
        "if",
        "what",
        "does",
        "do",
        "did",
        "will",
        "would",
        "can",
        "each",
        "per",
    ]
)
_VALUES: Mapping[str, float] = {
    **{w: float(i) for i, w in enumerate(
        ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty"])},
    "thirty": 30.0, "forty": 40.0, "fifty": 50.0, "sixty": 60.0, "seventy": 70.0, "eighty": 80.0, "ninety": 90.0,
    "hundred": 100.0, "dozen": 12.0, "half": 0.5, "twice": 2.0, "double": 2.0, "couple": 2.0, "thrice": 3.0,
    "triple": 3.0, "once": 1.0,
}  # fmt: skip
_TENS = frozenset(["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"])
_UNITS = frozenset(["one", "two", "three", "four", "five", "six", "seven", "eight", "nine"])
_KEYWORDS = frozenset(
    [
        "def",
        "return",
        "if",
        "elif",
        "else",
        "for",
        "in",
        "while",
        "not",
        "and",
        "or",
        "is",
        "None",
        "True",
        "False",
        "lambda",
        "import",
        "from",
        "class",
        "try",
        "except",
        "with",
        "as",
        "break",
        "continue",
        "yield",
        "len",
        "range",
        "sum",
        "max",
        "min",
        "sorted",
        "int",
        "str",
        "list",
        "dict",
        "set",
        "abs",
        "append",
        "join",
        "split",
    ]
)
_FENCE = re.compile(r"```[^\n]*\n(.*?)(?:```|\Z)", re.S)
_CODE_LINE = re.compile(r"^(?:def |class |import |from \w[\w.]* import )", re.M)
_DOCSTRING = re.compile(r'"""(.*?)"""|\'\'\'(.*?)\'\'\'', re.S)
_EXAMPLE = re.compile(r"(?:>>>|==>|➞).*")
_TOKEN = re.compile(r"[A-Za-z_]\w*|\d+\.?\d*|\"[^\"\n]*\"|'[^'\n]*'|\*\*|//|[<>=!+\-*/%]=|->|\S")
_COMMENT = re.compile(r"#.*")
_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?|[a-z]+")
_SUFFIXES = ("ing", "ed", "es", "s", "ly", "er")


@dataclass(frozen=True, kw_only=True)
class View:
    """What a text says, three ways."""

    wording: Mapping[str, int]
    numbers: frozenset[float]
    code: Mapping[str, int]


def view(question: str, others: Iterable[str] = ()) -> View:
    """The views of a row or a target: wording and numbers of the question, code of everything."""
    prose, code = _split(question)
    to_complete = bool(code)
    for text in others:
        more_prose, more_code = _split(text)
        code += more_code or (text if to_complete else "")  # the body of a function that the question opened
        if more_code and len(prose.split()) < 5:  # a bare program: its docstring is the question
            prose += " " + more_prose
    return View(wording=_wording(prose), numbers=numbers(prose), code=_structure(code))


def _split(text: str) -> tuple[str, str]:
    """(prose, code): fenced blocks are code; a text with top-level definitions is code whose docstrings are prose."""
    code = "\n".join(_FENCE.findall(text))
    prose = _FENCE.sub(" ", text) if code else text
    if _CODE_LINE.search(prose):
        code, prose = f"{prose}\n{code}", " ".join(a or b for a, b in _DOCSTRING.findall(prose))
    return _EXAMPLE.sub(" ", prose), code


def _wording(prose: str) -> Counter[str]:
    stems = [_stem(w) for w in re.findall(r"[a-z]+", prose.lower()) if w not in _VALUES]
    found = Counter(w for w in stems if w not in _STOP)
    found.update(f"{a} {b}" for a, b in pairwise(stems))
    return found


def _stem(word: str) -> str:
    suffix = next((s for s in _SUFFIXES if word.endswith(s) and len(word) - len(s) >= 3), "")
    return word.removesuffix(suffix)


def numbers(prose: str) -> frozenset[float]:
    """The distinct values in a text; number words count, twenty-nine as one."""
    found: list[float] = []
    tens = False
    for token in _NUMBER.findall(prose.lower()):
        value = float(token.replace(",", "")) if token[0].isdigit() else _VALUES.get(token)
        if value is not None and tens and token in _UNITS:
            found[-1] += value
        elif value is not None:
            found.append(value)
        tens = token in _TENS
    return frozenset(found)


def _structure(code: str) -> Counter[str]:
    """4-grams of the code's tokens, with names made slots and docstrings and comments left out."""
    bare = _COMMENT.sub("", _DOCSTRING.sub(" ", code))
    names = (
        t if t in _KEYWORDS or not (t[0].isalpha() or t[0] == "_") else "v" for t in _TOKEN.findall(bare)
    )
    tokens = list(names)
    return Counter(" ".join(tokens[i : i + CODE_GRAM]) for i in range(len(tokens) - CODE_GRAM + 1))


class Weights:
    """TF-IDF over one view of all targets, as an inverted index: term -> (targets, weights)."""

    def __init__(self, bags: Sequence[Mapping[str, int]]) -> None:
        np = numpy()
        self.targets = len(bags)
        self.seen = Counter(term for bag in bags for term in bag)
        postings: dict[str, list[tuple[int, float]]] = {term: [] for term in self.seen}
        for target, bag in enumerate(bags):
            for term, weight in self.vector(bag).items():
                postings[term].append((target, weight))
        self.postings = {
            term: (np.array([t for t, _ in pairs], dtype=np.int32), np.array([w for _, w in pairs]))
            for term, pairs in postings.items()
        }

    def vector(self, bag: Mapping[str, int]) -> dict[str, float]:
        """Unit-length weights; a term that no target has weighs most: it says that the row is about something else."""
        raw = {
            term: (1 + log(n)) * (1 + log((1 + self.targets) / (1 + self.seen.get(term, 0))))
            for term, n in bag.items()
        }
        norm = sum(w * w for w in raw.values()) ** 0.5 or 1.0
        return {term: weight / norm for term, weight in raw.items()}

    def cosines(self, bag: Mapping[str, int]) -> Any:
        """float64[targets]: the bag's cosine with each target."""
        scores = numpy().zeros(self.targets)
        for term, weight in self.vector(bag).items():
            if term in self.postings:
                targets, weights = self.postings[term]
                scores[targets] += weight * weights
        return scores


@dataclass(frozen=True, kw_only=True)
class Paraphrases:
    """All targets, ready to be asked."""

    views: Sequence[View]
    wording: Weights
    code: Weights
    rarity: Mapping[float, float]


def build_paraphrases(views: Sequence[View]) -> Paraphrases:
    counts = Counter(n for v in views for n in v.numbers)
    rarity = {n: 0.3 + log((1 + len(views)) / (1 + c)) for n, c in counts.items()}
    return Paraphrases(
        views=views,
        wording=Weights([v.wording for v in views]),
        code=Weights([v.code for v in views]),
        rarity=rarity,
    )


def paraphrased(index: Paraphrases, row: View) -> list[tuple[int, float]]:
    """(target, score) of the targets that the row rewrites, best first."""
    np = numpy()
    if not row.wording or not index.views:
        return []
    wording = index.wording.cosines(row.wording)
    near = np.argsort(-wording, kind="stable")[:CANDIDATES]
    code = index.code.cosines(row.code) if row.code else None
    found = []
    for target in map(int, near):
        facts, value = _facts(index, row, target, code)
        score = float(wording[target]) ** EXPONENT[facts] * value ** (1 - EXPONENT[facts])
        if score >= THRESHOLD[facts]:
            found.append((target, score))
    return sorted(found, key=lambda pair: (-pair[1], pair[0]))


def _facts(index: Paraphrases, row: View, target: int, code: Any) -> tuple[Facts, float]:
    """Which facts the pair is compared by, and how far they agree (0 to 1)."""
    other = index.views[target]
    if code is not None and other.code:
        return "code", float(code[target])
    if len(other.numbers) < LEAST_NUMBERS:
        return "none", 1.0
    rare = 0.3 + log(1 + len(index.views))
    both = sum(index.rarity.get(n, rare) for n in row.numbers & other.numbers)
    either = sum(index.rarity.get(n, rare) for n in row.numbers | other.numbers)
    return "numbers", both / (either + DOUBT)
