"""Paraphrases of benchmark problems: the wording (TF-IDF) must agree, and so must the facts under it.

A rewriter changes the words and keeps the numbers of a word problem, or the structure of a program. So a pair's score is
wording^a x facts^(1-a), where the facts are the numbers (weighted by rarity) or the code with its names replaced by slots.
At 1% false positives, wording alone finds 67% of rephrased GSM8K; both together find 96%.

    index = build_paraphrase_index([features(t.instruction) for t in tasks])
    find_paraphrases(index, features(row))                      ->  [(target, score)]

Thresholds and exponents were set on public sets (docs/contamination.md), with 1% false positives as the limit.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import pairwise
from math import log
from typing import Any, Literal

from evoltune.curate.frames import shared_by_many
from evoltune.text.vectors import import_numpy

CANDIDATES = 20  # targets, nearest in wording, whose facts are compared
Facts = Literal["numbers", "code", "none"]
EXPONENT: Mapping[Facts, float] = {"numbers": 0.35, "code": 0.5, "none": 1.0}
THRESHOLD: Mapping[Facts, float] = {"numbers": 0.395, "code": 0.24, "none": 0.45}
MIN_NUMBERS = 2  # fewer agree by chance
BASE_RARITY = 0.3
SMOOTHING = 2.0  # added to the denominator: a few common numbers that agree prove little (false positives 1.0% -> 0.5%)
CODE_NGRAM = 4
FRAME_SHARE = 0.33
"""A stem or pair of stems that a third of all targets or seeds have is of the frame. Rarer ones are content: at 5%, `list` and
`number` of HumanEval were frame, and a tenth fewer of its rewordings were found."""

_STOP_WORDS = frozenset(
    "a an the of to and in is are be for on at with it its that this as by from or was were he she his her they their "
    "them has have had how many much if what does do did will would can each per".split()
)
_UNITS = {w: float(i) for i, w in enumerate("one two three four five six seven eight nine".split(), 1)}
_TEENS = "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split()
_TENS = {w: 10.0 * i for i, w in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split(), 2)}
_NUMBER_WORDS: Mapping[str, float] = {
    "zero": 0.0, **_UNITS, **{w: float(i) for i, w in enumerate(_TEENS, 10)}, **_TENS,
    "hundred": 100.0, "dozen": 12.0, "half": 0.5, "twice": 2.0, "double": 2.0, "couple": 2.0, "thrice": 3.0,
    "triple": 3.0, "once": 1.0,
}  # fmt: skip
_KEYWORDS = frozenset(
    "def return if elif else for in while not and or is None True False lambda import from class try except with as break "
    "continue yield len range sum max min sorted int str list dict set abs append join split".split()
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
class Features:
    """What two texts are compared by."""

    wording: Mapping[str, int]
    """Stems and pairs of stems, with their counts."""
    numbers: frozenset[float]
    code: Mapping[str, int]
    """4-grams of code tokens with names replaced by slots, with their counts."""


def features(question: str, others: Iterable[str] = ()) -> Features:
    """Wording and numbers of the question, code of the question and the other texts (answers, solutions)."""
    prose, code = _split(question)
    opens_function = bool(code)
    for text in others:
        more_prose, more_code = _split(text)
        code += more_code or (text if opens_function else "")  # the body of a function that the question began
        if more_code and len(prose.split()) < 5:  # the question is a bare program: its docstring says what is asked
            prose += " " + more_prose
    return Features(wording=_wording(prose), numbers=numbers(prose), code=_structure(code))


def _split(text: str) -> tuple[str, str]:
    """(prose, code): fenced blocks are code; a text with top-level definitions is code whose docstrings are prose."""
    code = "\n".join(_FENCE.findall(text))
    prose = _FENCE.sub(" ", text) if code else text
    if _CODE_LINE.search(prose):
        code, prose = f"{prose}\n{code}", " ".join(a or b for a, b in _DOCSTRING.findall(prose))
    return _EXAMPLE.sub(" ", prose), code


def _wording(prose: str) -> Counter[str]:
    stems = [_stem(w) for w in re.findall(r"[a-z]+", prose.lower()) if w not in _NUMBER_WORDS]
    found = Counter(w for w in stems if w not in _STOP_WORDS)
    found.update(f"{a} {b}" for a, b in pairwise(stems))
    return found


def _stem(word: str) -> str:
    suffix = next((s for s in _SUFFIXES if word.endswith(s) and len(word) - len(s) >= 3), "")
    return word.removesuffix(suffix)


def numbers(prose: str) -> frozenset[float]:
    """The distinct values in a text. Number words count; twenty-nine is one value."""
    found: list[float] = []
    after_tens = False
    for token in _NUMBER.findall(prose.lower()):
        value = float(token.replace(",", "")) if token[0].isdigit() else _NUMBER_WORDS.get(token)
        if value is not None and after_tens and token in _UNITS:
            found[-1] += value
        elif value is not None:
            found.append(value)
        after_tens = token in _TENS
    return frozenset(found)


def _structure(code: str) -> Counter[str]:
    bare = _COMMENT.sub("", _DOCSTRING.sub(" ", code))
    tokens = [t if t in _KEYWORDS or not (t[0].isalpha() or t[0] == "_") else "v" for t in _TOKEN.findall(bare)]
    return Counter(" ".join(tokens[i : i + CODE_NGRAM]) for i in range(len(tokens) - CODE_NGRAM + 1))


class TfidfIndex:
    """TF-IDF over one kind of term counts of all targets, as an inverted index: term -> (targets, weights).

    scikit-learn's TfidfVectorizer ignores terms that no target has. Here they weigh most: they say that the row is about
    something else.
    """

    def __init__(self, counts: Sequence[Mapping[str, int]]) -> None:
        np = import_numpy()
        self.targets = len(counts)
        self.document_frequency = Counter(term for terms in counts for term in terms)
        postings: dict[str, list[tuple[int, float]]] = {term: [] for term in self.document_frequency}
        for target, terms in enumerate(counts):
            for term, weight in self.weights(terms).items():
                postings[term].append((target, weight))
        self.postings = {
            term: (np.array([t for t, _ in pairs], dtype=np.int32), np.array([w for _, w in pairs]))
            for term, pairs in postings.items()
        }

    def weights(self, counts: Mapping[str, int]) -> dict[str, float]:
        """The TF-IDF vector of a text's terms, of unit length."""
        raw = {
            term: (1 + log(n)) * (1 + log((1 + self.targets) / (1 + self.document_frequency.get(term, 0))))
            for term, n in counts.items()
        }
        norm = sum(w * w for w in raw.values()) ** 0.5 or 1.0
        return {term: weight / norm for term, weight in raw.items()}

    def cosines(self, counts: Mapping[str, int]) -> Any:
        """float64[targets]: the cosine with each target."""
        scores = import_numpy().zeros(self.targets)
        for term, weight in self.weights(counts).items():
            if term in self.postings:
                targets, weights = self.postings[term]
                scores[targets] += weight * weights
        return scores


@dataclass(frozen=True, kw_only=True)
class ParaphraseIndex:
    """All targets of a suite, prepared for look-ups."""

    targets: Sequence[Features]
    wording: TfidfIndex
    code: TfidfIndex
    rarity: Mapping[float, float]
    """Number -> weight."""
    frame: Set[str]
    """Stems and pairs of stems that many targets or seeds have: they count for nothing."""


def build_paraphrase_index(targets: Sequence[Features], seeds: Sequence[Features] = ()) -> ParaphraseIndex:
    """`seeds`: the domain's own."""
    frame = shared_by_many([t.wording for t in targets], FRAME_SHARE) | shared_by_many(
        [s.wording for s in seeds], FRAME_SHARE
    )
    counts = Counter(n for target in targets for n in target.numbers)
    return ParaphraseIndex(
        targets=targets,
        wording=TfidfIndex([_without(target.wording, frame) for target in targets]),
        frame=frame,
        code=TfidfIndex([target.code for target in targets]),
        rarity={n: _rarity(len(targets), count) for n, count in counts.items()},
    )


def _without(counts: Mapping[str, int], frame: Set[str]) -> dict[str, int]:
    return {term: n for term, n in counts.items() if term not in frame}


def _rarity(targets: int, count: int) -> float:
    return BASE_RARITY + log((1 + targets) / (1 + count))


def find_paraphrases(index: ParaphraseIndex, row: Features) -> list[tuple[int, float]]:
    """(target, score) of the targets that the row paraphrases, best first."""
    if not row.wording or not index.targets:
        return []
    wording = index.wording.cosines(_without(row.wording, index.frame))
    nearest = import_numpy().argsort(-wording, kind="stable")[:CANDIDATES]
    code = index.code.cosines(row.code) if row.code else None
    found = []
    for target in map(int, nearest):
        kind, agreement = _compare_facts(index, row, target, code)
        score = float(wording[target]) ** EXPONENT[kind] * agreement ** (1 - EXPONENT[kind])
        if score >= THRESHOLD[kind]:
            found.append((target, score))
    return sorted(found, key=lambda pair: (-pair[1], pair[0]))


def _compare_facts(index: ParaphraseIndex, row: Features, target: int, code: Any) -> tuple[Facts, float]:
    """Which facts the pair is compared by, and how far they agree (0 to 1)."""
    other = index.targets[target]
    if code is not None and other.code:
        return "code", float(code[target])
    if len(other.numbers) < MIN_NUMBERS:
        return "none", 1.0
    unseen = _rarity(len(index.targets), 0)
    shared = sum(index.rarity.get(n, unseen) for n in row.numbers & other.numbers)
    either = sum(index.rarity.get(n, unseen) for n in row.numbers | other.numbers)
    return "numbers", shared / (either + SMOOTHING)
