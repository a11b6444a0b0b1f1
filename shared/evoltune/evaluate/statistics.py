"""pass@k, intervals and paired tests. Standard library only.

    pass_at_k(n=20, c=4, k=10)       # 0.957: probability that one of 10 drawn from 20 samples, 4 right, is right
    wilson(41, 200)                  # (0.154, 0.267): 95% interval of a rate

Invariant: every random draw is seeded, so a score and its interval are bit-identical on a second run.
"""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from evoltune.errors import DataError

RESAMPLES = 2000
Z95 = 1.959963984540054


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A score between 0 and 1 with its 95% interval."""

    value: float
    interval: tuple[float, float]
    method: str
    """How the interval was found: `wilson` or `bootstrap`."""


def pass_at_k(n: int, c: int, k: int) -> float:
    """Unbiased estimate 1 - C(n-c, k) / C(n, k) (2107.03374, equation 1), exact in integers.

    `n`: samples of the problem, `c`: correct ones among them, `k`: samples that are drawn. DataError for k > n.
    """
    if not 0 <= c <= n:
        raise DataError(f"pass@k: {c} correct of {n} samples is impossible")
    if not 1 <= k <= n:
        raise DataError(f"pass@{k} needs at least {k} samples per problem, there are {n}: raise n, or ask for k <= {n}")
    return 1.0 - math.comb(n - c, k) / math.comb(n, k)


def wilson(passed: float, n: int) -> tuple[float, float]:
    """Wilson's score interval of a rate: keeps its level for small n and rates near 0 and 1, unlike the normal interval."""
    if n == 0:
        return 0.0, 1.0
    rate, z2 = passed / n, Z95 * Z95
    centre = (rate + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 / (1 + z2 / n) * math.sqrt(rate * (1 - rate) / n + z2 / (4 * n * n))
    low = 0.0 if passed == 0 else max(0.0, centre - half)
    return low, 1.0 if passed == n else min(1.0, centre + half)


def bootstrap(values: Sequence[float], seed: int = 0) -> tuple[float, float]:
    """95% percentile interval of the mean; problems are drawn with replacement."""
    if not values:
        return 0.0, 1.0
    rng, n = random.Random(seed), len(values)
    means = sorted(math.fsum(rng.choices(values, k=n)) / n for _ in range(RESAMPLES))
    return means[int(0.025 * RESAMPLES)], means[int(0.975 * RESAMPLES)]


def mean(values: Sequence[float], seed: int = 0) -> Measure:
    """The mean over problems, with a Wilson interval where every value is 0 or 1 and a bootstrap one elsewhere. Equal values
    get Wilson's too, which is wide enough for any values from 0 to 1: drawn again they have no spread, as if nothing were unknown."""
    value = math.fsum(values) / len(values) if values else 0.0
    if all(v in (0.0, 1.0) for v in values) or len(set(values)) == 1:
        return Measure(value=value, interval=wilson(math.fsum(values), len(values)), method="wilson")
    return Measure(value=value, interval=bootstrap(values, seed), method="bootstrap")


def mcnemar(only_a: int, only_b: int) -> float:
    """Exact two-sided p-value of McNemar's test, from the numbers of problems that only one of two models solves."""
    n = only_a + only_b
    tail: int = sum(math.comb(n, i) for i in range(min(only_a, only_b) + 1))
    return min(1.0, float(2 * tail / 2**n))


@dataclass(frozen=True, kw_only=True)
class PairedResult:
    """Two models on the same problems; `difference` is b - a."""

    n: int
    a: float
    b: float
    difference: float
    interval: tuple[float, float]
    only_a: int
    only_b: int
    p: float
    """Exact McNemar test; with fractional scores (several samples per problem) a sign-flip test."""

    @property
    def sentence(self) -> str:
        """The difference and whether it is significant, in words."""
        low, high = self.interval
        word = "significant" if self.p < 0.05 else "not significant"
        return (
            f"{self.difference:+.1%} (95% {low:+.1%} to {high:+.1%}), {word} at 5% (p = {self.p:.2g}, n = {self.n}, "
            f"only the first solves {self.only_a}, only the second {self.only_b})"
        )


def paired(a: Sequence[float], b: Sequence[float], seed: int = 0) -> PairedResult:
    """Compares two models problem by problem: `a[i]` and `b[i]` are their scores on problem i."""
    if len(a) != len(b) or not a:
        raise DataError(f"a paired comparison needs the same problems on both sides: {len(a)} and {len(b)}")
    gaps = [y - x for x, y in zip(a, b, strict=True)]
    only_a, only_b = sum(g < 0 for g in gaps), sum(g > 0 for g in gaps)
    binary = all(g in (-1.0, 0.0, 1.0) for g in gaps)
    n = len(gaps)
    return PairedResult(
        n=n, a=math.fsum(a) / n, b=math.fsum(b) / n, difference=math.fsum(gaps) / n, interval=bootstrap(gaps, seed),
        only_a=only_a, only_b=only_b, p=mcnemar(only_a, only_b) if binary else _sign_flip(gaps, seed),
    )  # fmt: skip


def _sign_flip(gaps: Sequence[float], seed: int) -> float:
    """p-value of a permutation test: if the models are equal, each gap is as likely to have the other sign."""
    rng, observed = random.Random(seed), abs(math.fsum(gaps))
    hits = sum(
        abs(math.fsum(g if rng.random() < 0.5 else -g for g in gaps)) >= observed - 1e-12 for _ in range(RESAMPLES)
    )
    return (hits + 1) / (RESAMPLES + 1)
