"""Laws about what must not pass: near misses, other tasks' answers, and texts that know nothing of the task.

An answer counts as passing by rule, and not by chance, where nearly all tasks let its kind pass.
"""

import json
from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

from evoltune.domain_kit.findings import Finding, broken, holds, unchecked
from evoltune.domain_kit.judging import ALWAYS, LATE, MUST_REJECT, WITNESSES, Judged, Laws, asked, example
from evoltune.domain_kit.near_misses import RIGHT_AT_TIMES, UNRELATED, near_misses, other_responses, several_answers
from evoltune.domain_kit.parts import Parts, is_value, parts_like, shape
from evoltune.domain_kit.phrases import STOCK, phrases_of
from evoltune.record import Task, Verdict

Right = tuple[Task, str, str]
"""A task, a response that passes, and the candidate in it."""
OFTEN = 1 / 3
"""Share of near misses of one kind to short answers (numbers, names, dates) above which it is no chance: of 190 answers of the
maths domain none passes, of no kind."""
OTHER_FORM = ", of another right form"
"""Of a kind of change: of an answer that known_answers calls right."""
SHORT = 3
"""Words of a short answer."""
HALF = 0.5
"""Share of the tasks at which two answers may pass in either order: one kind of task is often a half of all."""
MOSTLY = 0.6
"""Share of the answers of one shape that may pass with one of their parts changed."""


@dataclass
class Tally:
    """How many answers of each kind passed."""

    tried: dict[str, int] = field(default_factory=dict)
    passed: dict[str, int] = field(default_factory=dict)
    example: dict[str, tuple[Task, str, Verdict]] = field(default_factory=dict)

    def add(self, kind: str, task: Task, text: str, verdict: Verdict | None) -> None:
        if verdict is None:
            return
        self.tried[kind] = self.tried.get(kind, 0) + 1
        if verdict.status == "pass":
            self.passed[kind] = self.passed.get(kind, 0) + 1
            self.example.setdefault(kind, (task, text, verdict))

    def by_rule(self, least: int = WITNESSES, share: float = ALWAYS) -> str:
        """The first kind of which so many pass, as a sentence with an example; "" where there is none."""
        for kind, count in self.passed.items():
            tried = self.tried[kind]
            if kind.removesuffix(OTHER_FORM) not in RIGHT_AT_TIMES and count >= max(least, share * tried):
                return f"{count} of {tried} pass with {kind}: {example(*self.example[kind])}"
        return ""

    def forget(self, kinds: Set[str]) -> None:
        """Leaves out kinds of which the author has said whether they are right."""
        self.passed = {kind: count for kind, count in self.passed.items() if kind not in kinds}

    def undecided(self, share: float = 0.5) -> str:
        """The kinds of which such a share or more pass, with an example each; "" where there are none."""
        often = {kind: count for kind, count in self.passed.items() if count >= share * self.tried[kind]}
        told = []
        for kind, count in often.items():
            task, text, _ = self.example[kind]
            told.append(f"{count} of {self.tried[kind]} {kind} ({text[:60]!r} for {(task.reference or '')[:60]!r})")
        return "; ".join(told)


@dataclass
class Cheats:
    """The laws, for answers that were found to be right."""

    laws: Laws
    judged: Judged

    def __post_init__(self) -> None:
        self.right: Sequence[Right] = self.judged.right
        self.parts = Parts([candidate for _, _, candidate in self.right])

    def findings(self) -> Iterator[Finding]:
        yield from self.near_misses()
        yield from self.changed_parts()
        yield from self.responses()
        yield from self.peeking()
        yield from self.denied()
        yield from self.unrelated()
        yield from self.phrases()

    @property
    def _place(self) -> str:
        return self.laws.sources.function(self.laws.domain.verify)

    def _response(self, task: Task, text: str) -> Verdict | None:
        found = self.laws.judge(self.laws.first, task, text)
        return found[1] if found else None

    def _candidate(self, task: Task, text: str) -> Verdict | None:
        return self.laws.verdict(self.laws.first, task, text)

    def near_misses(self) -> Iterator[Finding]:
        """Candidates, one kind of change after another for each seed, must not pass by rule."""
        law, until, tally, short = "mutated references are rejected", self.laws.time.until(2), Tally(), Tally()
        todo = "compare the whole answer with the reference, exactly as far as the task asks"
        rejecting = looked = silent = late = 0
        seen = set[tuple[str, str]]()
        began, spent = self.laws.first.jobs.seconds, self.laws.first.cpu
        for (task, _, candidate), other in until.over([*zip(self.right, _others(self.right), strict=True)]):
            wrong = near_misses(candidate)
            if other:
                wrong |= several_answers(candidate, other)
            verdicts = []
            of_form = "" if asked(task) not in seen else OTHER_FORM  # known_answers come after the seeds' own
            seen.add(asked(task))
            for kind, text in ((f"{name}{of_form}", text) for name, text in wrong.items()):
                verdict = self._candidate(task, text)
                tally.add(kind, task, text, verdict)
                if len(candidate.split()) <= SHORT:
                    short.add(kind, task, text, verdict)
                verdicts += [verdict.status] if verdict else []
            looked += bool(verdicts)
            silent += bool(verdicts) and all(status in ("unverifiable", "error") for status in verdicts)
            late += bool(verdicts) and all(status in LATE for status in verdicts)
            rejecting += any(status != "pass" for status in verdicts)
        detail = f"{rejecting / max(1, looked):.0%} of {looked} seeds reject a mutant, {sum(tally.tried.values())} mutants of {len(tally.tried)} kinds"
        if by_rule := tally.by_rule() or short.by_rule(share=OFTEN):
            yield broken(law, by_rule, self._place, todo)
        elif looked >= WITNESSES and silent == looked:
            detail = f"none of the wrong answers to {looked} tasks is a `fail`: they are unverifiable, so that no score counts them"
            yield broken(
                law,
                detail,
                self._place,
                "return `fail` where the answer is wrong, and `unverifiable` where nobody can tell",
            )
        elif looked >= WITNESSES and late == looked and self._was_quick(began, spent, sum(tally.tried.values())):
            detail = f"none of the wrong answers to {looked} tasks is a `fail`: each is a timeout or out of memory, though none took long"
            yield broken(
                law,
                detail,
                self._place,
                "return `fail` where the answer is wrong; a limit is for what context.run or a computation met",
            )
        elif looked and rejecting / looked < MUST_REJECT:
            yield broken(law, f"{detail}: {example(*next(iter(tally.example.values())))}", self._place, todo)
        elif looked:
            yield holds(law, detail)

    def changed_parts(self) -> Iterator[Finding]:
        """Changes that follow from an answer's parts: those that are nearly always wrong must not pass for most answers of one shape, and
        those of which only the field can tell are named where they pass and nobody has said what they are."""
        law, until = "answers changed in one of their parts are rejected", self.laws.time.until(2)
        wrong, of_shape, either, decided = Tally(), Tally(), Tally(), set[str]()
        programs, silent = self.laws.first.jobs.seconds, list[Verdict]()
        right = _right_texts(self.right)
        for task, _, candidate in until.over(self.right):
            form = shape(candidate)
            for is_open, changes in ((False, self.parts.wrong(candidate)), (True, self.parts.open(candidate))):
                for kind, text in changes.items():
                    if text.strip() in right[asked(task)]:
                        continue
                    told = self.judged.known.get((asked(task), text))
                    if told is not None:
                        decided |= {kind, f"{kind} ({form})"}
                        continue
                    verdict = self._candidate(task, text)
                    silent += [verdict] if verdict and verdict.status == "unverifiable" and not is_open else []
                    for tally, name in [(either, kind)] if is_open else [(wrong, kind), (of_shape, f"{kind} ({form})")]:
                        tally.add(name, task, text, verdict)
        for tally in (wrong, of_shape, either):
            tally.forget(decided)
        least = WITNESSES if self.laws.first.jobs.seconds > programs else 2  # tests may well let one pass
        by_rule = of_shape.by_rule(least, MOSTLY) or wrong.by_rule(share=OFTEN)
        if by_rule:
            todo = "compare the whole answer with the reference, as far as the task asks; is it right after all, then name it in known_answers"
            yield broken(law, by_rule, self._place, todo)
        elif len(silent) >= max(2 * WITNESSES, HALF * sum(wrong.tried.values())):
            detail = f"{len(silent)} of {sum(wrong.tried.values())} wrong answers are unverifiable ({silent[0].reason[:60]!r}), so that no score counts them"
            yield broken(
                law,
                detail,
                self._place,
                "return `fail` where the answer is wrong, and `unverifiable` where nobody can tell",
            )
        elif wrong.tried:
            yield holds(law, f"{sum(wrong.tried.values())} answers of {len(wrong.tried)} kinds")
        tell = "right in some fields and wrong in others: write the examples into known_answers, as right or as wrong"
        if undecided := either.undecided():
            yield unchecked("changes of which only the field can tell", f"{undecided} pass: {tell}")
        if not by_rule and (at_times := of_shape.undecided(0)):
            yield unchecked("changes that are wrong in nearly every field", f"{at_times} pass: {tell}")

    def _was_quick(self, jobs_s: float, cpu_s: float, calls: int) -> bool:
        return self.laws.first.jobs.seconds == jobs_s and self.laws.first.cpu - cpu_s < 0.05 * calls

    def responses(self) -> Iterator[Finding]:
        """Whole responses that state something else, or several things, must not pass by rule."""
        law, until, tally = "responses that state another answer are rejected", self.laws.time.until(), Tally()
        both, of_shape = Tally(), Tally()
        for (task, response, candidate), other in until.over(
            [*zip(self.right, _other_responses(self.right), strict=True)]
        ):
            for kind, text in other_responses(response, candidate).items():
                tally.add(kind, task, text, self._response(task, text))
            if other and "\n" not in candidate.strip():  # a program may well hold two functions
                orders = [f"{response}\n\n{other}", f"{other}\n\n{response}"]
                verdicts = [self._response(task, text) for text in orders]
                if all(verdicts):
                    passes = all(v is not None and v.status == "pass" for v in verdicts)
                    verdict = verdicts[0] if passes else Verdict(status="fail")
                    for counted, form in ((both, ""), (of_shape, f" ({shape(candidate)})")):
                        counted.add(f"two answers, in either order{form}", task, orders[0], verdict)
        if by_rule := tally.by_rule() or both.by_rule(share=HALF) or of_shape.by_rule(share=MOSTLY):
            todo = "let extract find the one answer that the response gives, sign, digits and all, and verify judge that alone"
            place = self.laws.sources.function(self.laws.domain.extract)
            yield broken(
                law, by_rule, place if self.laws.domain.extract.__module__ != "evoltune.domain" else self._place, todo
            )
        elif tally.tried:
            yield holds(
                law,
                f"{sum(tally.tried.values())} responses of {len(tally.tried)} kinds, {sum(both.tried.values())} with two answers",
            )

    def peeking(self) -> Iterator[Finding]:
        """Of a response with two answers extract takes the same one whichever is the reference."""
        law, until, tried, differing = "extract does not choose by the reference", self.laws.time.until(), 0, []
        for (task, response, own), (other, theirs, candidate) in until.over(pairwise([*self.right, *self.right[:1]])):
            if task.reference == other.reference or shape(own) != shape(candidate) or "\n" in own.strip():
                continue
            for text in (f"{response}\n\n{theirs}", f"{theirs}\n\n{response}"):
                found = [
                    self.laws.judge(self.laws.first, replace(task, reference=reference), text)
                    for reference in (task.reference, other.reference)
                ]
                tried += 1
                if found[0] and found[1] and found[0][0] != found[1][0]:
                    differing.append((text, found[0][0], found[1][0]))
        if len(differing) >= 2:
            text, first, second = differing[0]
            detail = f"{len(differing)} of {tried} responses, e.g. of {text[:120]!r} it takes {first!r:.60}, and with the reference of the other answer {second!r:.60}"
            todo = "let extract read the response alone: whoever writes down all that comes to mind would be right"
            yield broken(law, detail, self.laws.sources.function(self.laws.domain.extract), todo)
        elif tried:
            yield holds(law, f"{tried} responses with two answers")

    def denied(self) -> Iterator[Finding]:
        """Responses that take the right answer back: whether they answer is for the field to say."""
        until, tally = self.laws.time.until(0.5), Tally()
        for task, _, own in until.over(self.right[:12]):
            if "\n" not in own.strip() and is_value(own):
                for text in (f"It is not {own}.", f"I do not know; perhaps {own}, perhaps not."):
                    tally.add("taken back", task, text, self._response(task, text))
        if often := tally.undecided():
            tell = "where a model may think aloud, let extract take a marked answer alone (`Answer: ...`)"
            yield unchecked("responses that deny or doubt the right answer", f"{often} pass: {tell}")

    def unrelated(self) -> Iterator[Finding]:
        """The right answers to other tasks, and answers to none."""
        law, until, tally = "unrelated answers are never accepted", self.laws.time.until(), Tally()
        texts = [(task, text) for task, _, _ in self.right[:24] for text in UNRELATED]
        direct: list[tuple[Task, str, Verdict]] = []
        for task, text in until.over(texts):
            verdict = self._candidate(task, text)
            direct += [(task, text, verdict)] if verdict else []
            for found in (self._response(task, text), verdict):
                if found and found.status == "pass":
                    yield broken(law, example(task, text, found), self._place, "reject what does not answer the task")
                    return
        if len(direct) >= WITNESSES * len(UNRELATED) and all(v.status == "unverifiable" for _, _, v in direct):
            detail = (
                f"no answer that says nothing of the task is a `fail`: no score counts it, e.g. {example(*direct[0])}"
            )
            yield broken(
                law,
                detail,
                self._place,
                "return `fail` for what is no answer: `unverifiable` is for a task that nobody can judge",
            )
            return
        rest = self.laws.time.until()
        for (task, _, own), (other, _, candidate) in rest.over(
            [*zip(self.right, [*self.right[1:], *self.right[:1]], strict=True)]
        ):
            if candidate.strip() != own.strip() and task.reference != other.reference:
                tally.add("answers to other tasks", task, candidate, self._candidate(task, candidate))
            for kind, text in {**_given(task), **parts_like(own, task.instruction)}.items():
                if text.strip() not in (own.strip(), (task.reference or "").strip()):
                    tally.add(kind, task, text, self._response(task, text))
                    tally.add(f"{kind}, as a candidate", task, text, self._candidate(task, text))
        if by_rule := tally.by_rule(2):
            yield broken(law, by_rule, self._place, "judge the answer by this task's reference or tests")
        else:
            yield holds(
                law,
                f"{until.looked} unrelated texts, {sum(tally.tried.values())} answers to other tasks and texts of the task itself",
            )

    def phrases(self) -> Iterator[Finding]:
        """No text makes every answer pass: none that the verifier's own source names, and none that models write anyway."""
        law, until = "no phrase makes an answer pass", self.laws.time.until()
        witnesses = _witnesses(self.right)
        if len(witnesses) < 2:
            return
        task, _, own = witnesses[0]
        wrong = next(iter(other_responses(own, own).values()), "zq")
        forms: list[Callable[[str], str]] = [lambda p: p, lambda p: f"{wrong} {p}", lambda p: f"{p} {wrong}"]
        for text in until.over(form(phrase) for phrase in (*STOCK, *phrases_of(self.laws.sources)) for form in forms):
            for judge in (self._response, self._candidate):
                verdict = judge(task, text)
                if verdict and verdict.status == "pass" and self._always(judge, witnesses[1:], text):
                    todo = (
                        "let nothing pass but the right answer: a word or pattern that any answer can hold is no proof"
                    )
                    yield broken(law, f"whatever the task: {example(task, text, verdict)}", self._place, todo)
                    return
        yield holds(law, f"{until.looked} texts that the package's code or models use")

    def _always(self, judge: Callable[[Task, str], Verdict | None], others: Sequence[Right], text: str) -> bool:
        verdicts = [judge(task, text) for task, _, _ in others]
        return all(v is not None and v.status == "pass" for v in verdicts)


def _others(right: Sequence[Right]) -> list[str]:
    """For each task the right candidate of the next one with another answer, where there is one."""
    return [
        next((c for _, _, c in (*right[i + 1 : i + 4], *right[:3]) if c.strip() != own.strip()), "")
        for i, (_, _, own) in enumerate(right)
    ]


def _other_responses(right: Sequence[Right]) -> list[str]:
    return [
        next((r for _, r, c in (*right[i + 1 : i + 4], *right[:3]) if c.strip() != own.strip()), "")
        for i, (_, _, own) in enumerate(right)
    ]


def _right_texts(right: Sequence[Right]) -> dict[tuple[str, str], set[str]]:
    """Question and reference of each task -> its right answers: a change of one of them may be another."""
    found: dict[tuple[str, str], set[str]] = {}
    for task, _, candidate in right:
        found.setdefault(asked(task), {(task.reference or "").strip()}).add(candidate.strip())
    return found


def _witnesses(right: Sequence[Right]) -> list[Right]:
    """Tasks with different answers."""
    found: dict[str, Right] = {}
    for item in right:
        found.setdefault(item[2].strip().casefold(), item)
        if len(found) == WITNESSES:
            break
    return [*found.values()]


def _given(task: Task) -> dict[str, str]:
    """Texts that the task itself gives: its question, and the words that its fields and tests hold."""
    words = list(dict.fromkeys(_strings([dict(task.fields), task.tests])))
    found = {"the task's own text": task.instruction}
    if task.name.strip():
        found["the task's name"] = task.name
    if len(words) > 1:
        found["all texts of its fields and tests"] = " ".join(words)[:4000]
        found["its fields and tests as JSON"] = json.dumps(words)[:4000]
    return found


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _strings(item)
