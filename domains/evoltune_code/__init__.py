"""The code domain: seeds, WizardCoder's operators, and verification by running programs in the sandbox.

Invariant: importing it loads no engine, reads no seed and starts nothing.

    evoltune verify solutions.jsonl --domain code
"""

from __future__ import annotations

from evoltune.domain import Domain
from evoltune_code.extract import extract
from evoltune_code.verification import COLUMNS, POLICY, verify

domain = Domain(
    name="code",
    seeds=lambda: [],
    operators=(),
    verify=verify,
    extract=extract,
    columns=COLUMNS,
    policy=POLICY,
)
