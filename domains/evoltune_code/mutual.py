"""Mutual verification: what most of the *distinct* solutions of a task return on many inputs becomes the expected value
(rStar-Coder, 2505.21297).

    agreement = agree(programs, "f", inputs, context)     # agreement.cases: [([2], 4), ...]

1. Programs of one syntax tree, names and what does nothing aside, have one vote: copies of one mistake do not outvote two ways to the
   right result.
2. A value counts where it has more than `mutual_share` of the votes, and at least `mutual_solutions`; an exception is a vote for no value.
3. The program that agrees with most of these values is accepted; of them, only those stay that it returns itself.
4. Cases are kept as far as they kill another mutant of the accepted program, or take another of its branches.

Invariant: no value is taken from a single program, and none from the text of the task: what the text states only silences programs
that contradict it.
"""

import ast
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evoltune.domain import Context, Job
from evoltune.record import Json, Task
from evoltune.sandbox import wire
from evoltune.sandbox.values import UnencodableError, decode, encode, same
from evoltune_code.assembly import text_field
from evoltune_code.branches import branches_taken
from evoltune_code.mutants import mutants
from evoltune_code.rewrites.exercise import results_of
from evoltune_code.routes import shape_of
from evoltune_code.suite_probes import variants
from evoltune_code.syntax import parse
from evoltune_code.verification import policy_number

Args = Sequence[Any]
Example = tuple[Args, Any]
"""(arguments, the value that the task states)"""
LONGEST_CALL = 400
LEAST_CASES = 6
TOLERANCE = 1e-6
_STATES = re.compile(
    r"[ \t`]*(?:==|=>|->|=|➞|→|⇒|#\s*(?:=>|->)?|(?:should |will |must )?(?:returns?|be|equals?|gives?|is|outputs?)\b|:)[ \t`:]*"
    r"|[ \t`]*\n[ \t]*(?=\S)",
    re.I,
)


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """What distinct solutions of one task agree on."""

    voters: int
    """Distinct programs that returned something."""
    inputs: int
    cases: tuple[tuple[Args, Any], ...] = ()
    """(arguments, agreed value)"""
    kept: tuple[int, ...] = ()
    """The cases that make the tests: each kills a mutant or takes a branch that no earlier one does."""
    accepted: str = ""
    agreeing: int = 0
    """Distinct programs that return every agreed value."""
    passing: frozenset[int] = frozenset()
    """Numbers of the programs that return every agreed value."""
    killed: int = 0
    mutants: int = 0
    taken: int = 0
    branches: int = 0

    @property
    def figures(self) -> dict[str, Json]:
        """The counts of the mutual verification, which each verdict's evidence holds."""
        return {
            "solutions": self.voters, "inputs": self.inputs, "agreed": len(self.cases), "tests_kept": len(self.kept),
            "mutants": self.mutants, "killed": self.killed, "branches": self.branches, "branches_taken": self.taken,
        }  # fmt: skip


def agree(
    programs: Sequence[str],
    entry_point: str,
    inputs: Sequence[Args],
    context: Context,
    examples: Sequence[Example] = (),
) -> Agreement:
    """The agreement of some programs on some inputs; without cases where there is none. Programs that contradict one of the task's own
    `examples` do not vote."""
    asked = [*inputs, *(args for args, _ in examples)]
    shapes = [shape_of(program, entry_point) for program in programs]
    first = {shape: i for i, shape in reversed(list(enumerate(shapes))) if shape}
    distinct = sorted(first.values())
    returned = _returned([programs[i] for i in distinct], entry_point, asked, context)
    found = {
        i: texts[: len(inputs)]
        for i, texts in zip(distinct, returned, strict=True)
        if not all(map(_is_no_value, texts)) and _fits(texts[len(inputs) :], examples)
    }
    agreed = _majority(list(found.values()), context)
    if not agreed:
        return Agreement(voters=len(found), inputs=len(inputs))
    best = max(found, key=lambda i: (sum(found[i][n] == text for n, text in agreed.items()), -i))
    mine = [n for n, text in agreed.items() if found[best][n] == text]
    values = {
        repr(args): value for args, value in results_of(programs[best], entry_point, [inputs[n] for n in mine], context)
    }
    numbers = [n for n in mine if repr(inputs[n]) in values]
    cases = tuple((inputs[n], values[repr(inputs[n])]) for n in numbers)
    right = {shapes[i] for i, texts in found.items() if all(texts[n] == agreed[n] for n in numbers)}
    return _kept(
        Agreement(
            voters=len(found), inputs=len(inputs), cases=cases, accepted=programs[best], agreeing=len(right),
            passing=frozenset(i for i, shape in enumerate(shapes) if shape in right),
        ),
        entry_point,
        [found[best][n] for n in numbers],
        context,
    )  # fmt: skip


def _fits(texts: Sequence[str], examples: Sequence[Example]) -> bool:
    """Whether a program returns what the task's text says, lists and tuples being one."""
    return all(_is_value(text, value) for text, (_, value) in zip(texts, examples, strict=True))


def _is_value(text: str, value: Any) -> bool:
    if _is_no_value(text):
        return False
    try:
        return same(as_lists(decode(wire.parse(text))), as_lists(value), TOLERANCE)
    except (ValueError, TypeError):  # a long result, of which the text holds a hash
        return True


def as_lists(value: Any) -> Any:
    """The value with tuples as lists: prose does not tell them apart."""
    if isinstance(value, list | tuple):
        return [as_lists(item) for item in value]
    return {key: as_lists(item) for key, item in value.items()} if isinstance(value, dict) else value


def _returned(programs: Sequence[str], entry_point: str, inputs: Sequence[Args], context: Context) -> list[list[str]]:
    """For each program a text for each input, equal for equal results; "" where it did not come so far."""
    tests = {"probe": [encode(list(args)) for args in inputs]}
    cpu_s = policy_number(context, "mutant_cpu_s")
    verdicts = context.run_many([Job(program=p, entry_point=entry_point, tests=tests, cpu_s=cpu_s) for p in programs])
    found = [verdict.evidence.get("results") if verdict.status == "pass" else None for verdict in verdicts]
    is_whole = [isinstance(texts, Sequence) and len(texts) == len(inputs) for texts in found]
    return [list(map(str, texts)) if ok else [""] * len(inputs) for texts, ok in zip(found, is_whole, strict=True)]  # type: ignore[arg-type]


def _is_no_value(text: str) -> bool:
    return not text or text.startswith(("raise ", "object "))


def _majority(results: Sequence[Sequence[str]], context: Context) -> dict[int, str]:
    """Input -> the value that enough of the programs return."""
    share, least = policy_number(context, "mutual_share"), policy_number(context, "mutual_solutions")
    agreed: dict[int, str] = {}
    for number, texts in enumerate(zip(*results, strict=True)):
        text, votes = Counter(texts).most_common(1)[0]
        if votes >= least and votes > share * len(results) and not _is_no_value(text):
            agreed[number] = text
    return agreed


def _kept(agreement: Agreement, entry_point: str, texts: Sequence[str], context: Context) -> Agreement:
    """The agreement with the cases that kill mutants or take branches. A mutant that ends early is killed by the first case."""
    inputs = [args for args, _ in agreement.cases]
    found = mutants(agreement.accepted, limit=int(policy_number(context, "mutants"))) if inputs else []
    by_mutant = _returned([m.source for m in found], entry_point, inputs, context) if found else []
    branches, total = branches_taken(agreement.accepted, entry_point, inputs, context) if inputs else ([], 0)
    gains: list[set[tuple[str, Any]]] = [{("branch", branch) for branch in taken} for taken in branches]
    for number, returned in enumerate(by_mutant):
        for case, (mine, other) in enumerate(zip(texts, returned, strict=True)):
            if mine != other:
                gains[case].add(("mutant", number))
    kept: list[int] = []
    had: set[tuple[str, Any]] = set()
    while gains and (most := max(range(len(gains)), key=lambda case: (len(gains[case] - had), -case))) not in kept:
        if not gains[most] - had:
            break
        kept.append(most)
        had |= gains[most]
    killed = sum(kind == "mutant" for kind, _ in had)
    return Agreement(
        **{
            **vars(agreement), "kept": tuple(sorted(kept)), "killed": killed, "mutants": len(found),
            "taken": len(had) - killed, "branches": total,
        }
    )  # fmt: skip


def inputs_of(task: Task, entry_point: str, texts: Sequence[str], context: Context) -> list[list[Any]]:
    """Arguments to try: those of the calls in the task's text and in the teacher's, and variations of them."""
    said = (text_field(task, "prompt"), task.instruction, *texts)
    found = {repr(args): args for text in said for args in calls_in(text, entry_point)}
    calls = [args for args in found.values() if _can_be_sent(args)]
    letters = "".join(
        sorted(set(_texts(calls)))
    )  # brackets stay brackets: inputs that the task is not about have no right value
    varied = variants(calls, int(policy_number(context, "mutual_inputs")), task.instruction, letters)
    return [*calls, *(args for args in varied if _can_be_sent(args))]


def _texts(value: Any) -> Iterator[str]:
    """The letters of all texts in plain data."""
    if isinstance(value, str):
        yield from value
    elif isinstance(value, dict):
        yield from (letter for pair in value.items() for part in pair for letter in _texts(part))
    elif isinstance(value, list | tuple | set | frozenset):
        yield from (letter for item in value for letter in _texts(item))


def _can_be_sent(args: Args) -> bool:
    try:
        encode(list(args))
    except (UnencodableError, TypeError, ValueError, RecursionError):
        return False
    return True


def calls_in(text: str, entry_point: str) -> Iterator[list[Any]]:
    """The literal arguments of calls of a function in any text: `>>> f(2)`, `f([1, 2]) should be 3`, asserts."""
    yield from (args for args, _ in _calls(text, entry_point))


def examples_in(text: str, entry_point: str) -> list[Example]:
    """The calls whose value the text states: `f(2) == 4`, `>>> f(2)` and 4 on the next line, `f(2) should return 4`."""
    found: list[Example] = []
    for args, rest in _calls(text, entry_point):
        stated = _STATES.match(rest)
        if (
            stated
            and (value := _literal_at_start(rest[stated.end() :].partition("\n")[0])) is not None
            and _can_be_sent(args)
        ):
            found.append((args, value[0]))
    return found


def _literal_at_start(text: str) -> tuple[Any] | None:
    """The longest literal that a line begins with: `[1, 2]  # sorted`; None where it begins with none."""
    for end in sorted({m.end() for m in re.finditer(r"[\]\)}\w'\"](?=\W|$)", text)}, reverse=True):
        try:
            return (ast.literal_eval(text[:end].strip()),)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            continue
    return None


def _calls(text: str, entry_point: str) -> Iterator[tuple[list[Any], str]]:
    """(literal arguments, the text behind the call)"""
    for match in re.finditer(rf"(?<![\w.])(?:{re.escape(entry_point)}|candidate)\(", text):
        rest = text[match.start() : match.start() + LONGEST_CALL]
        for end in re.finditer(r"\)", rest):
            tree = parse(rest[: end.end()].strip())
            call = tree.body[0].value if tree and len(tree.body) == 1 and isinstance(tree.body[0], ast.Expr) else None
            if not isinstance(call, ast.Call):
                continue
            try:
                args = [ast.literal_eval(arg) for arg in call.args]
            except (ValueError, TypeError, RecursionError):
                break  # a signature, or an expression
            if args and not call.keywords:
                yield args, text[match.start() + end.end() :]
            break


def doubt_about(agreement: Agreement, context: Context) -> str:
    """Why the agreement verifies nothing, or ""."""
    least = int(policy_number(context, "mutual_solutions"))
    if agreement.voters < least:
        return f"{agreement.voters} distinct solutions that return something, {least} are needed to agree"
    if agreement.agreeing < max(least, policy_number(context, "mutual_share") * agreement.voters):
        return f"{agreement.agreeing} of {agreement.voters} distinct solutions return all agreed values"
    if len(agreement.cases) < policy_number(context, "min_tests"):
        return f"distinct solutions agree on {len(agreement.cases)} of {agreement.inputs} inputs"
    if len({repr(value) for _, value in agreement.cases}) < 2:
        return "distinct solutions agree on one value for all inputs, as useless functions would"
    if not agreement.mutants or agreement.killed < policy_number(context, "mutation_score") * agreement.mutants:
        return f"the agreed values kill {agreement.killed} of {agreement.mutants} mutants"
    if agreement.taken < policy_number(context, "branch_coverage") * agreement.branches:
        return f"the agreed values take {agreement.taken} of {agreement.branches} branches"
    return ""


def cases_as_tests(agreement: Agreement) -> Mapping[str, Json]:
    """The kept cases in a form of `Task.tests`, and others after them where there are fewer than `LEAST_CASES`: an exercise that is
    made from this one needs inputs."""
    others = [i for i in range(len(agreement.cases)) if i not in agreement.kept]
    chosen = [*agreement.kept, *others[: max(0, LEAST_CASES - len(agreement.kept))]]
    return {"cases": [[encode(list(args)), encode(value)] for args, value in (agreement.cases[i] for i in chosen)]}
