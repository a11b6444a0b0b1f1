"""The general domain: WizardLM's open-domain evolution, LIMA's decoding, and constraints that a program can check.

evoltune evolve recipes/general/wizardlm-llama-7b.yaml
"""

from functools import partial
from pathlib import Path

from evoltune.domain import Domain, Profile
from evoltune.domain_kit.known_file import known_answers_in
from evoltune.record import KNOWN_ANSWERS
from evoltune_general.benchmarks import BENCHMARKS
from evoltune_general.operators import ANSWER_PROMPT, ELIMINATORS, OPERATORS
from evoltune_general.seeds import seeds
from evoltune_general.verification import COLUMNS, POLICY, verify

PROFILES = {
    "sound": Profile(version=1),
    # LIMA (2305.11206), section 4: nucleus sampling, repetition penalty, at most 2048 tokens.
    "lima": Profile(
        version=1, decoding={"n": 1, "temperature": 0.7, "top_p": 0.9, "repetition_penalty": 1.2, "max_tokens": 2048}
    ),
}

domain = Domain(
    name="general",
    seeds=seeds,
    operators=OPERATORS,
    verify=verify,
    answer_prompt=ANSWER_PROMPT,
    eliminators=ELIMINATORS,
    benchmarks=BENCHMARKS,
    profiles=PROFILES,
    columns=COLUMNS,
    policy=POLICY,
    known_answers=partial(known_answers_in, Path(__file__).parent / KNOWN_ANSWERS),
)
