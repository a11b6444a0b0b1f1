"""The code domain: seeds, WizardCoder's operators, and verification by running programs in the sandbox.

Invariant: importing it loads no engine, reads no seed and starts nothing.

    evoltune verify solutions.jsonl --domain code
"""

from functools import partial
from pathlib import Path

from evoltune.domain import Domain
from evoltune.domain_kit.known_file import known_answers_in
from evoltune.record import KNOWN_ANSWERS
from evoltune_code.benchmarks import BENCHMARKS
from evoltune_code.cases import cases
from evoltune_code.confirmation import confirm
from evoltune_code.extraction import extract
from evoltune_code.operators import OPERATORS, no_fusion, prompt, solution_given, stand_in
from evoltune_code.overlap import behaviour
from evoltune_code.profiles import PROFILES
from evoltune_code.routes import route
from evoltune_code.seeds import seeds
from evoltune_code.verification import COLUMNS, POLICY, verify

domain = Domain(
    name="code",
    seeds=seeds,
    operators=OPERATORS,
    verify=verify,
    extract=extract,
    answer_prompt=prompt("answer"),
    evidence={"tests": prompt("tests")},
    confirm=confirm,
    overlap={"behaviour": behaviour},
    eliminators=(no_fusion, solution_given),
    benchmarks=BENCHMARKS,
    profiles=PROFILES,
    columns=COLUMNS,
    route=route,
    policy=POLICY,
    cases=cases,
    stand_in=stand_in,
    known_answers=partial(known_answers_in, Path(__file__).parent / KNOWN_ANSWERS),
)
