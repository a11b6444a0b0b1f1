"""Numbers with their uncertainty: pass@k, Wilson and bootstrap intervals, paired tests. Standard library only.

    pass_at_k(n=20, c=4, k=10)       # 0.957: probability that one of 10 drawn from 20 samples, 4 right, is right
    wilson(41, 200)                  # (0.154, 0.267): 95% interval of a rate

Invariant: every draw is seeded, so a figure and its interval are bit-identical on a second run.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from evoltune.errors import DataError

RESAMPLES = 2000
Z95 = 1.959963984540054


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A figure between 0 and 1 with its 95% interval and how that was found."""

    value: float
    interval: tuple[float, float]
    method: str


def pass_at_k(n: int, c: int, k: int) -> float:
    """Unbiased estimate 1 - C(n-c, k) / C(n, k) (2107.03374, equation 1), exact in integers. Raises DataError for k > n."""
    if not 0 <= c <= n:
        raise DataError(f"pass@k: {c} correct of {n} samples is impossible")
    if not 1 <= k <= n:
        raise DataError(
            f"pass@{k} needs at least {k} samples per problem, there are {n}: raise n, or ask for k <= {n}"
        )
    return 1.0 - math.comb(n - c, k) / math.comb(n, k)


def wilson(passed: int, n: int, z: float = Z95) -> tuple[float, float]:
    """Wilson's score interval of a rate; holds its level for small n and rates near 0 and 1, where the normal one fails."""
    if n == 0:
        return 0.0, 1.0
    rate, z2 = passed / n, z * z
    centre = (rate + z2 / (2 * n)) / (1 + z2 / n)
    half = z / (1 + z2 / n) * math.sqrt(rate * (1 - rate) / n + z2 / (4 * n * n))
    low = 0.0 if passed == 0 else max(0.0, centre - half)
    return low, 1.0 if passed == n else min(1.0, centre + half)


def bootstrap(values: Sequence[float], seed: int = 0, resamples: int = RESAMPLES) -> tuple[float, float]:
    """Percentile interval of the mean, problems drawn with replacement."""
    if not values:
        return 0.0, 1.0
    rng, n = random.Random(seed), len(values)
    means = sorted(math.fsum(rng.choices(values, k=n)) / n for _ in range(resamples))
    return means[int(0.025 * resamples)], means[min(resamples - 1, int(0.975 * resamples))]


def accuracy(passed: int, n: int) -> Measure:
    return Measure(value=passed / n if n else 0.0, interval=wilson(passed, n), method="wilson")


def mean(values: Sequence[float], seed: int = 0) -> Measure:
    """A mean over problems; Wilson where every value is 0 or 1, else bootstrap."""
    if all(v in (0.0, 1.0) for v in values):
        return accuracy(int(sum(values)), len(values))
    return Measure(
        value=math.fsum(values) / len(values), interval=bootstrap(values, seed), method="bootstrap"
    )


def mcnemar(only_a: int, only_b: int) -> float:
    """Exact two-sided p-value of McNemar's test: problems that only one of two models solves."""
    n = only_a + only_b
    if n == 0:
        return 1.0
    tail: int = sum(math.comb(n, i) for i in range(min(only_a, only_b) + 1))
    return min(1.0, float(2 * tail / 2**n))


@dataclass(frozen=True, kw_only=True)
class Paired:
    """Two models on the same problems: `difference` is b - a."""

    n: int
    a: float
    b: float
    difference: float
    interval: tuple[float, float]
    only_a: int
    only_b: int
    p: float
    """McNemar, exact; for fractional scores (several samples) from the sign-flip test."""

    @property
    def sentence(self) -> str:
        """The significance statement of the comparison."""
        low, high = self.interval
        word = "significant" if self.p < 0.05 else "not significant"
        return (
            f"{self.difference:+.1%} (95% {low:+.1%} to {high:+.1%}), {word} at 5% (p = {self.p:.2g}, n = {self.n}, "
            f"only the first solves {self.only_a}, only the second {self.only_b})"
        )


def paired(a: Sequence[float], b: Sequence[float], seed: int = 0) -> Paired:
    """Compares two models problem by problem; `a[i]` and `b[i]` are their scores on problem i."""
    if len(a) != len(b) or not a:
        raise DataError(f"a paired comparison needs the same problems on both sides: {len(a)} and {len(b)}")
    gaps = [y - x for x, y in zip(a, b, strict=True)]
    only_a, only_b = sum(g < 0 for g in gaps), sum(g > 0 for g in gaps)
    plain = all(g in (-1.0, 0.0, 1.0) for g in gaps)
    n = len(gaps)
    return Paired(
        n=n, a=math.fsum(a) / n, b=math.fsum(b) / n, difference=math.fsum(gaps) / n, interval=bootstrap(gaps, seed),
        only_a=only_a, only_b=only_b, p=mcnemar(only_a, only_b) if plain else _sign_flip(gaps, seed),
    )  # fmt: skip


def _sign_flip(gaps: Sequence[float], seed: int) -> float:
    """Permutation test: under equality each problem's gap is as likely to be its negative."""
    rng, seen = random.Random(seed), abs(math.fsum(gaps))
    hits = sum(
        abs(math.fsum(g if rng.random() < 0.5 else -g for g in gaps)) >= seen - 1e-12
        for _ in range(RESAMPLES)
    )
    return (hits + 1) / (RESAMPLES + 1)
