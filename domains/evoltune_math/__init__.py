"""The maths domain: operators, seeds, suites, and a verifier that parses answers and compares them exactly.

    from evoltune_math import check
    check("x = \\\\frac{1}{2}", "0.5").status  # pass

Reading order: verification (what is compared), extraction (where an answer is found), `answers` (how it is read and compared).
"""

from dataclasses import asdict
from functools import partial
from pathlib import Path

from evoltune.domain import Domain
from evoltune.domain_kit.known_file import known_answers_in
from evoltune.record import KNOWN_ANSWERS
from evoltune_math.answers.policy import DEFAULT
from evoltune_math.benchmarks import BENCHMARKS
from evoltune_math.confirmation import confirm
from evoltune_math.eliminators import ELIMINATORS
from evoltune_math.operators import ANSWER_PROMPT, EVIDENCE, OPERATORS, stand_in
from evoltune_math.overlap import skeleton
from evoltune_math.references import extract, stated_reference
from evoltune_math.scorers import profiles
from evoltune_math.seeds import seeds
from evoltune_math.steps import check_steps, route
from evoltune_math.verification import check, verify

domain = Domain(
    name="math",
    seeds=seeds,
    operators=OPERATORS,
    verify=verify,
    extract=extract,
    answer_prompt=ANSWER_PROMPT,
    evidence=EVIDENCE,
    confirm=confirm,
    eliminators=ELIMINATORS,
    overlap={"skeleton": skeleton},
    benchmarks=BENCHMARKS,
    profiles=profiles,
    columns=(),
    policy=asdict(DEFAULT),
    check_steps=check_steps,
    route=route,
    reference_in=stated_reference,
    preload=("mpmath", "sympy"),
    stand_in=stand_in,
    known_answers=partial(known_answers_in, Path(__file__).parent / KNOWN_ANSWERS),
)

__all__ = ["check", "domain"]
