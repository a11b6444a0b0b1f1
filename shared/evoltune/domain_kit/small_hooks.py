"""Laws of a domain's smaller functions: cases, check_steps, stand_in, render, profiles, reference_in, faithful, and of its options.

Each is called with what its caller would give it, and held to its contract in `evoltune/domain.py`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from evoltune.domain_kit.findings import Finding, broken, holds, shown
from evoltune.domain_kit.hooks import BREADTH, STRANGE, Hooks
from evoltune.domain_kit.judging import ALWAYS, LATE, Judged
from evoltune.domain_kit.near_misses import HOSTILE, UNRELATED, near_misses, spoilt
from evoltune.record import Json, Task

_STEPS = 12
"""Steps of one solution: the time limit is for one."""
_SUMS = (
    "1 / 0",
    "1 // 0",
    "1 % 0",
    "0 / 0",
    "9 ** 9 ** 9",
    "2 ** 99999999",
    "1e999",
    "10 / 3",
    "1 + ",
    "(1 + 2",
    "\u0663 + 1",
    "1,000 + 1",
    "__import__('os').getpid()",
)
_MARKED = (
    *(f"{mark} {text}" for mark in ("####", "Answer:", "The answer is") for text in ("", "x", "1,234", "\u00bd", "-")),
    "\\boxed{}", "\\boxed{", "####", "Answer:",
)  # fmt: skip
"""Worked solutions whose mark is followed by nothing, or by something odd."""
_STATED = (
    "@", "The answer is @.", "The answer is: @", "#### @", "\\boxed{@}", "$\\boxed{@}$", "Answer: @", "**Answer: @**", "Final Answer: The final answer is $@$. I hope it is correct.",
    "```\n@\n```", "```python\n@\n```", "<answer>@</answer>", '{"answer": "@"}', "A: @",
)  # fmt: skip
"""Forms in which answers are given (`@`)."""


_NO_CASE: Json = {"zq": ["no test of any domain"]}


class SmallHooks(Hooks):
    """The smaller functions of one domain."""

    def findings(self, judged: Judged) -> Iterator[Finding]:
        yield from self.options(judged)
        yield from self.stated(judged)
        yield from self.faithful()
        tasks = [s.task for s in self.seeds[:BREADTH]]
        if self.domain.cases is not None:
            law, place = "cases gives a task's tests one by one", self.sources.function(self.domain.cases)
            found, counts = None, []
            for task in tasks:
                outcome = self.ask("cases", task, name="cases")
                found = found or self.failure(
                    law,
                    outcome,
                    place,
                    "return a sequence of tests, each in a form of Task.tests; empty where there are none",
                )
                counts.append(len(outcome.value or ()))
            bare = self.ask("cases", STRANGE, name="cases")
            found = found or self.failure(law, bare, place, "return an empty sequence for a task without tests")
            if not found and any(t.tests for t in tasks) and not any(counts):
                found = broken(
                    law, f"none for {len(tasks)} seeds that have tests", place, "return each test of task.tests"
                )
            found = found or self._cases(law, place, judged)
            yield found or holds(law, f"{sum(counts)} of {len(tasks)} seeds")
        if self.domain.check_steps is not None and tasks:
            law, place = "check_steps labels each step", self.sources.function(self.domain.check_steps)
            yield self._steps(law, place)
        if self.domain.route is not None and tasks:
            law, place = "route gives a text for whatever answer", self.sources.function(self.domain.route)
            outcomes = [self.ask("route", tasks[0], text, name="route") for text in (*UNRELATED, "", "9" * 400)]
            outcomes += [self.first.call("route", tasks[0], text, name="route") for text in HOSTILE]
            outcomes += [
                self.first.call("route", task, text, name="route")
                for task, response, candidate in judged.right[:2]
                for text in spoilt(response, candidate)
            ]
            found = next(filter(None, (self.failure(law, o, place, "return a text") for o in outcomes)), None)
            yield found or self._layouts(law, place) or holds(law, f"{len(outcomes)} answers")
        if self.domain.stand_in is not None:
            law, place = "stand_in replies as a teacher would", self.sources.function(self.domain.stand_in)
            pairs = [(task, name) for task in tasks for name in self.domain.evidence]
            outcomes = [self.ask("stand_in", *pair, name="stand_in") for pair in pairs]
            found = next(filter(None, (self.failure(law, o, place, "return a text") for o in outcomes)), None)
            if found or outcomes:
                yield found or holds(law, f"{len(outcomes)} replies")
        for name, profile in self.domain.profiles.items():
            if profile.render is not None and tasks:
                law, place = f"profile {name!r} renders tasks", self.sources.function(profile.render)
                outcomes = [self.ask("render", task, key=name, name="render") for task in tasks]
                found = next(filter(None, (self.failure(law, o, place, "return a text") for o in outcomes)), None)
                texts, asked = {o.value for o in outcomes}, {t.instruction for t in tasks}
                if not found and len(asked) > 1 and len(texts) == 1:
                    detail = f"{len(asked)} tasks are rendered as the same text, {outcomes[0].value[:80]!r}"
                    found = broken(law, detail, place, "put the task's instruction into the text")
                yield found or holds(law, f"{len(tasks)} tasks")
            if profile.extract is not None or profile.verify is not None:
                yield self._profile(name, tasks, judged)

    def _layouts(self, law: str, place: str) -> Finding | None:
        """Blank lines and line ends are layout: the way of a solution is the same."""
        for seed in self.time.until(0.5).over([s for s in self.seeds if s.answers][:BREADTH]):
            text = seed.answers[0].text
            forms = (text, f"\n{text}\n\n", text.replace("\n", "\r\n"), text.replace("\n", "\n\n"), f"{text}  ")
            ways = [self.first.call("route", seed.task, form, name="route").value for form in forms]
            other = next((form for form, way in zip(forms, ways, strict=True) if way != ways[0]), None)
            if other is not None:
                detail = f"{text[-60:]!r} and {other[-60:]!r} go two ways, and differ in blanks and line ends alone"
                return broken(
                    law,
                    detail,
                    place,
                    "build the text of what the solution does (its equations, its syntax tree), not of its layout",
                )
        return None

    def _cases(self, law: str, place: str, judged: Judged) -> Finding | None:
        """Each case is a form of `Task.tests`: a right answer passes it."""
        tried, wrong, blind = 0, [], []
        for task, _, candidate in self.time.until(0.5).over(judged.right[: BREADTH // 2]):
            cases = self.first.call("cases", task, name="cases").value or []
            if len(cases) > 1:
                nonsense = self.first.call("verify", replace(task, tests=_NO_CASE), candidate, name="verify")
                blind.append(not nonsense.kind and nonsense.value.status == "pass")
            for case in cases[:3]:
                outcome = self.first.call("verify", replace(task, tests=case), candidate, name="verify")
                tried += 1
                if outcome.kind or outcome.value.status not in ("pass", *LATE):
                    what = outcome.error or f"{outcome.value.status} ({outcome.value.reason[:60]!r})"
                    wrong.append(f"{what} for the case {case!r:.80} of {task.instruction[:60]!r}")
        if len(blind) >= 3 and all(blind):
            detail = f"right answers pass with the tests {_NO_CASE!r} too, so that every case of a wrong one fails: verify reads no Task.tests"
            return broken(
                law, detail, place, "let verify judge by task.tests where there are any, or leave `cases` out"
            )
        if tried < 3 or len(wrong) < ALWAYS * tried:
            return None
        todo = "give each case the form that verify reads in Task.tests, e.g. [case] where tests is a list"
        return broken(law, f"right answers fail {len(wrong)} of {tried} single cases: {wrong[0]}", place, todo)

    def _steps(self, law: str, place: str) -> Finding:
        todo = "return True, False or None for each step, in their order"
        for seed in self.seeds[:BREADTH]:
            text = seed.answers[0].text if seed.answers else "1 + 1 = 2"
            hostile = [[*HOSTILE[i : i + _STEPS]] for i in range(6, len(HOSTILE), _STEPS)]
            odd = [[f"{text} = 1" for text in _SUMS], *hostile] if seed is self.seeds[0] else []
            for steps in (text.splitlines(), [], [*UNRELATED, "", "1 + 1 = 3", "\x00" * 9, "9" * 400], *odd):
                outcome = self.ask("check_steps", seed.task, steps, name="check_steps")
                if failure := self.failure(law, outcome, place, todo):
                    return failure
                if len(outcome.value) != len(steps):
                    return broken(law, f"{len(outcome.value)} labels for {len(steps)} steps", place, todo)
        return (
            self._right_steps(law, place)
            or self._wrong_steps(law, place)
            or holds(law, f"{min(len(self.seeds), BREADTH)} solutions")
        )

    def _right_steps(self, law: str, place: str) -> Finding | None:
        """Of the steps of the seeds' own answers, which are right, most must not be called wrong."""
        labels: list[tuple[str, bool]] = []
        for task, text in self.time.until(0.5).over(
            [(s.task, a.text) for s in self.seeds[: 4 * BREADTH] for a in s.answers]
        ):
            steps = text.splitlines()
            found = self.first.call("check_steps", task, steps, name="check_steps").value or []
            labels += [(step, label) for step, label in zip(steps, found, strict=False) if label is not None]
        false = [step for step, label in labels if not label]
        if len(labels) < 3 or len(false) < 0.5 * len(labels):
            return None
        detail = (
            f"{len(false)} of {len(labels)} steps of the seeds' own answers are called wrong, e.g. {false[0][:80]!r}"
        )
        return broken(
            law,
            detail,
            place,
            "give True for a step that is right, False for one that is wrong, None where no check decides",
        )

    def _wrong_steps(self, law: str, place: str) -> Finding | None:
        """Steps that it calls right, with a digit changed."""
        steps = [(s.task, line) for s in self.seeds[: 4 * BREADTH] for a in s.answers for line in a.text.splitlines()]
        right = []
        for task, step in self.time.until(0.5).over(steps):
            changed = near_misses(step).get("last digit changed")
            if changed and self.first.call("check_steps", task, [step], name="check_steps").value == [True]:
                right.append((changed, self.first.call("check_steps", task, [changed], name="check_steps").value))
        passed = [step for step, labels in right if labels == [True]]
        if len(right) < 3 or len(passed) < ALWAYS * len(right):
            return None
        detail = f"{len(passed)} of {len(right)} steps with another last digit are still right, e.g. {passed[0][:80]!r}"
        return broken(law, detail, place, "give True only where an exact check says so, else None")

    def _passes_nothing(self, name: str, judged: Judged) -> str:
        """A right answer that no form makes a profile accept, of several that it judges; "" where there is none."""
        tried: list[str] = []
        for task, response, candidate in self.time.until(0.5).over(judged.right[:4]):
            forms = (form.replace("@", candidate) for form in _STATED)
            verdicts = [
                self.first.call("answer", task, text, key=name, name=f"profile {name!r}").value
                for text in (response, *forms)
            ]
            statuses = {v[1].status for v in verdicts if v}
            if statuses - {"fail"}:
                return ""
            tried.append(candidate)
        return tried[0] if len(tried) > 2 else ""

    def _profile(self, name: str, tasks: Sequence[Task], judged: Judged) -> Finding:
        profile = self.domain.profiles[name]
        law, place = (
            f"profile {name!r} judges whatever it is given",
            self.sources.function(profile.verify or profile.extract),
        )
        passed = 0
        for task in tasks[:3]:
            for text in (*UNRELATED, "", "9" * 400, task.reference or ""):
                outcome = self.first.call("answer", task, text, key=name, name=f"profile {name!r}")
                if failure := self.failure(
                    law, outcome, place, "return a Verdict instead of raising, whatever the answer is"
                ):
                    return failure
                passed += text in UNRELATED and outcome.value[1].status == "pass"
        for text in (*UNRELATED, *(c for _, _, c in judged.right[:1])) if tasks else ():
            bare = replace(tasks[0], reference=None, tests=None, fields={}, name="")
            outcome = self.first.call("answer", bare, text, key=name, name=f"profile {name!r}")
            todo = "return `unverifiable` where the task has no reference: rows files hold such tasks too"
            if failure := self.failure(law, outcome, place, todo):
                return replace(failure, detail=f"{failure.detail}, for a task without reference, tests and fields")
        if tasks and passed >= len(UNRELATED) * min(3, len(tasks)):
            detail = f"every answer passes, e.g. {UNRELATED[0]!r} to {tasks[0].instruction[:60]!r}"
            return broken(law, detail, place, "let it reject what does not answer the task")
        if refused := self._passes_nothing(name, judged):
            detail = f"no right answer passes in any of {len(_STATED) + 1} forms, e.g. {refused[:60]!r}"
            return broken(law, detail, place, "let it accept the right answer in the form that its prompt asks for")
        return holds(law, f"{len(tasks[:3])} tasks, good and bad answers")

    # ---- options, stated references, wordings

    def options(self, judged: Judged) -> Iterator[Finding]:
        """With each option of the policy set otherwise, right and bad answers still get verdicts."""
        law, place = "verify works with other options", self.sources.function(self.domain.verify)
        until = self.time.until()
        tries = [(t, r) for t, r, _ in judged.right[:2]] or [(s.task, "an answer") for s in self.seeds[:1]]
        chosen = [{key: other} for key, default in self.domain.policy.items() for other in _otherwise(default)]
        attempts = [("answer", p, attempt) for p in chosen for attempt in tries]
        attempts += [("verify", p, (tries[0][0], text)) for text in sorted(HOSTILE, key=len) for p in chosen if tries]
        for hook, policy, (task, text) in until.over(attempts):
            outcome = self.first.call(hook, task, text, name="verify", policy=policy)
            if outcome.kind and "DomainError" not in outcome.error:
                at = shown(outcome.where) or place
                yield broken(
                    law,
                    f"with policy {policy}: {outcome.error}, for {text[:60]!r}",
                    at,
                    "judge with each option that a recipe may set, or raise a DomainError that says what is allowed",
                )
                return
        if chosen and until.looked:
            yield holds(law, f"{len(chosen)} other values of {len(self.domain.policy)} options")

    def stated(self, judged: Judged) -> Iterator[Finding]:
        """`reference_in` gives what a solution states, which its own verifier passes, and never a guess."""
        if self.domain.reference_in is None:
            return
        law, place = "reference_in gives what a solution states", self.sources.function(self.domain.reference_in)
        until, given = self.time.until(), 0
        for text in until.over([*UNRELATED, "", *_MARKED, *(r for _, r, _ in judged.right[: 4 * BREADTH])]):
            outcome = self.ask("reference_in", text, name="reference_in")
            if failure := self.failure(law, outcome, place, "return the stated reference, or None"):
                yield failure
                return
            if outcome.value is not None and not outcome.value.strip():
                yield broken(
                    law,
                    f"it gives {outcome.value!r} for {text!r}",
                    place,
                    "return None where a mark is followed by nothing",
                )
                return
            if outcome.value is not None and text in (*UNRELATED, ""):
                yield broken(
                    law,
                    f"{outcome.value!r} for {text!r}, which states none",
                    place,
                    "return None where no reference is marked as such",
                )
                return
            task = next((t for t, r, _ in judged.right if r == text), None)
            if task is None or outcome.value is None:
                continue
            given += 1
            verdict = self.first.call(
                "verify",
                replace(task, reference=outcome.value, tests=None),
                next(c for _, r, c in judged.right if r == text),
                name="verify",
            )
            if not verdict.kind and verdict.value.status == "fail":
                yield broken(
                    law,
                    f"the answer {text[-80:]!r} fails against its own stated reference {outcome.value!r}",
                    place,
                    "return what verify takes as a reference",
                )
                return
        yield holds(law, f"{until.looked} texts, {given} with a reference")

    def faithful(self) -> Iterator[Finding]:
        """`faithful` accepts a task's own wording, and refuses another task's."""
        for key, operator in enumerate(self.domain.operators):
            if operator.faithful is None or len(self.seeds) < 2:
                continue
            law, place = f"faithful of {operator.name!r} tells wordings apart", self.sources.function(operator.faithful)
            until, accepted = self.time.until(0.5), 0
            digits: list[str] = []
            numbered = 0
            for seed, other in until.over([*zip(self.seeds[:BREADTH], self.seeds[1 : BREADTH + 1], strict=False)]):
                outcomes = [
                    self.ask("faithful", seed.task, text, key=key, name="faithful")
                    for text in (seed.task.instruction, other.task.instruction, "")
                ]
                todo = 'return "" where the wording states the same task, else what differs'
                if failure := next(filter(None, (self.failure(law, o, place, todo) for o in outcomes)), None):
                    yield failure
                    return
                if outcomes[0].value:
                    yield broken(law, f"it refuses a task's own wording: {outcomes[0].value!r}", place, todo)
                    return
                if not outcomes[2].value:
                    yield broken(law, "it accepts the empty wording", place, todo)
                    return
                if changed := near_misses(seed.task.instruction).get("last digit changed"):
                    numbered += 1
                    told = self.ask("faithful", seed.task, changed, key=key, name="faithful")
                    digits += [changed] if not told.kind and not told.value else []
                accepted += not outcomes[1].value
            if numbered > 2 and len(digits) == numbered:
                yield broken(
                    law,
                    f"it accepts another number in {numbered} of {numbered} wordings, e.g. {digits[0][-80:]!r}",
                    place,
                    "compare the numbers that the task states",
                )
            elif until.looked > 2 and accepted == until.looked:
                yield broken(
                    law,
                    f"it accepts the wording of another task {accepted} times of {until.looked}",
                    place,
                    "compare what the task states: its numbers, say",
                )
            else:
                yield holds(law, f"{until.looked} seeds")


def _otherwise(default: Any) -> list[Any]:
    """Other values of an option's type."""
    if isinstance(default, bool):
        return [not default]
    if isinstance(default, str):
        return [f"no-{default}"]
    if isinstance(default, list | tuple) and default:
        return [[]]
    if isinstance(default, int | float):
        return [default * 2 + 1, type(default)(default // 2)]
    return []
