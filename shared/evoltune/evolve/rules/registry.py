"""All elimination rules in order, and the reasons they give (2304.12244 section 3.3, and what its successors met).

    for rule in RULES: print(rule.about, rule.name, rule.doc)
    rejection_reason(domain, parent_task, child_task, answer=None)  ->  a reason, or "" to keep

Rules about instructions run before any answer is paid for. The teacher's "equal?" judgement, the paper's first rule, runs
between the two groups: see evoltune.evolve.chain. Invariant: a rule reads only its arguments, so a decision is the same
whenever and wherever it is made.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from evoltune.domain import Domain, author_code
from evoltune.evolve.rules.broken_text import has_controls, has_only_stop_words, is_empty, is_truncated, loops
from evoltune.evolve.rules.comparison import (
    answer_drifts,
    copies_instruction,
    copies_parent,
    grows_too_long,
    instruction_drifts,
)
from evoltune.evolve.rules.leaks import answer_leaks_prompt, echoes_answer_prompt, leaks_prompt, repeats_label
from evoltune.evolve.rules.refusals import asks_back, refuses, says_sorry
from evoltune.evolve.rules.run_on import has_template_turns, runs_on
from evoltune.record import Task

Fires = Callable[["Task | None", Task, str], bool]
"""(parent if known, child, text) -> whether the rule fires; text is the child's instruction, or its answer."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One reason to drop an instruction or an answer."""

    name: str
    """The reason that is recorded and counted."""
    about: Literal["instruction", "answer"]
    fires: Fires

    @property
    def doc(self) -> str:
        """When it fires, in one line: the function's docstring."""
        return self.fires.__doc__ or ""


def _rules(about: Literal["instruction", "answer"], fires: Mapping[str, Fires]) -> tuple[Rule, ...]:
    return tuple(Rule(name=name, about=about, fires=function) for name, function in fires.items())


INSTRUCTION_RULES = _rules(
    "instruction",
    {
        "empty instruction": is_empty,
        "only stop words": has_only_stop_words,
        "prompt residue": leaks_prompt,
        "copy of the parent": copies_parent,
        "over-long growth": grows_too_long,
        "control characters": has_controls,
        "loop": loops,
        "run-on": has_template_turns,
        "language drift": instruction_drifts,
    },
)
ANSWER_RULES = _rules(
    "answer",
    {
        "empty answer": is_empty,
        "only stop words": has_only_stop_words,
        "sorry": says_sorry,
        "refusal": refuses,
        "unanswerable": asks_back,
        "copy of the instruction": copies_instruction,
        "prompt residue": answer_leaks_prompt,
        "control characters": has_controls,
        "loop": loops,
        "run-on": runs_on,
        "truncated": is_truncated,
        "language drift": answer_drifts,
    },
)
RULES = (*INSTRUCTION_RULES, *ANSWER_RULES)


def rejection_reason(domain: Domain, parent: Task | None, child: Task, answer: str | None) -> str:
    """The first reason to drop the child (answer None) or this answer, core rules before the domain's; "" to keep it.
    Raises DomainError when an eliminator of the domain fails."""
    reason = next(core_reasons(parent, child, answer), "") or _own_prompt_reason(domain, parent, child, answer)
    return reason or _domain_reason(domain, parent, child, answer)


def core_reasons(parent: Task | None, child: Task, answer: str | None) -> Iterator[str]:
    """The names of the core rules that fire, in order; a rule is asked only when its turn comes."""
    rules, text = (INSTRUCTION_RULES, child.instruction) if answer is None else (ANSWER_RULES, answer)
    return (rule.name for rule in rules if rule.fires(parent, child, text))


def _own_prompt_reason(domain: Domain, parent: Task | None, child: Task, answer: str | None) -> str:
    """ "prompt residue" where the child has a label of the domain's prompts, or the answer a sentence of the answer prompt."""
    if answer is None:
        leaks = repeats_label((operator.template for operator in domain.operators if operator.template), parent, child)
    else:
        leaks = echoes_answer_prompt(domain.answer_prompt, child, answer)
    return "prompt residue" if leaks else ""


def _domain_reason(domain: Domain, parent: Task | None, child: Task, answer: str | None) -> str:
    for eliminator in domain.eliminators:
        with author_code(domain, f"eliminator {getattr(eliminator, '__name__', type(eliminator).__name__)}"):
            reason = eliminator(parent, child, answer)
            if not isinstance(reason, str | None):
                raise TypeError(f"the result is {type(reason).__name__}: {repr(reason)[:80]}, not a reason or None")
        if reason:
            return reason
    return ""
