"""Laws of the answers that a domain's author knows to be right or wrong (`Domain.known_answers`).

    yield from laws_of_known(laws, judged)

Changes of a reference that any field has (a digit, a word, a part) cannot tell a verifier that ignores case from one for which case
is nothing. Only the author can, and a domain whose author says nothing is told so.
"""

from collections.abc import Iterator, Sequence

from evoltune.domain_kit.findings import Finding, broken, holds, unchecked
from evoltune.domain_kit.judging import ALWAYS, WITNESSES, Judged, Laws, asked, example
from evoltune.domain_kit.near_misses import in_place
from evoltune.record import KnownAnswers, Task, Verdict

LAW = "answers that the author knows are judged as they should be"
_NONE = (
    "the domain states none, so that verify was tried with changes alone that know nothing of its field: give known_answers a few "
    "near answers that are wrong and other forms that are right, for each kind of task"
)


def laws_of_known(laws: Laws, judged: Judged) -> Iterator[Finding]:
    """Right answers must pass, wrong ones must not: as candidates, and in the place of the seed's answer. Those that pass join `judged`."""
    if laws.domain.known_answers is None:
        yield unchecked(LAW, _NONE)
        return
    place = laws.sources.function(laws.domain.known_answers)
    outcome = laws.first.call("known_answers", name="known_answers")
    if laws.failed(outcome, "the check", LAW):
        return
    known: Sequence[KnownAnswers] = outcome.value
    responses = {asked(task): (response, candidate) for task, response, candidate in judged.right}
    until, right, wrong = laws.time.until(2), 0, 0
    for item in until.over(known):
        right, wrong = right + len(item.right), wrong + len(item.wrong)
        for is_right, texts in ((True, item.right), (False, item.wrong)):
            for text in texts:
                if found := _misjudged(laws, item.task, text, is_right, responses.get(asked(item.task))):
                    yield broken(LAW, found[0], laws.sources.line_of(text) or place, found[1])
                    return
        if item.right and (whole := responses.get(asked(item.task))):
            judged.right.append((item.task, in_place(*whole, item.right[0]), item.right[0]))
        judged.known |= {
            (asked(item.task), text): is_right
            for is_right, texts in ((True, item.right), (False, item.wrong))
            for text in texts
        }
    if elsewhere := _passes_elsewhere(laws, known, judged):
        yield broken(
            LAW,
            elsewhere,
            laws.sources.function(laws.domain.verify),
            "judge the answer by this task's reference or tests",
        )
        return
    if not wrong:
        yield unchecked(
            LAW, f"{right} right answers and no wrong ones: give known_answers near answers that are wrong too"
        )
        return
    yield holds(LAW, f"{right} right and {wrong} wrong answers to {until.looked} of {len(known)} tasks")


def _misjudged(
    laws: Laws, task: Task, text: str, is_right: bool, whole: tuple[str, str] | None
) -> tuple[str, str] | None:
    """(what is wrong with the verdicts on one answer, what to do); None where they are as the author says."""
    responses = [in_place(*whole, text)] if whole and whole[1] in whole[0] else []
    verdicts: list[tuple[str, Verdict | None, str]] = [(text, laws.verdict(laws.first, task, text), "verify")]
    verdicts += [(r, found[1], "extract and verify") for r in responses if (found := laws.judge(laws.first, task, r))]
    for given, verdict, function in verdicts:
        if verdict and is_right and verdict.status != "pass":
            return (
                f"right by known_answers: {example(task, given, verdict)}",
                f"let {function} accept it, or call it wrong",
            )
        if verdict and not is_right and verdict.status in ("pass", "error", "unverifiable"):
            return (
                f"wrong by known_answers: {example(task, given, verdict)}",
                f"let {function} reject it, or call it right",
            )
    return None


def _passes_elsewhere(laws: Laws, known: Sequence[KnownAnswers], judged: Judged) -> str:
    """Right answers of one task that pass for nearly all others; "" where they do not."""
    forms = [(item, next((text for text in item.right if text != item.task.reference), "")) for item in known]
    tried, passed = 0, list[str]()
    for item, text in laws.time.until(0.5).over([form for form in forms if form[1]][:WITNESSES]):
        for task, _, own in judged.right[: 2 * WITNESSES]:
            if task.reference == item.task.reference or own == text or judged.known.get((asked(task), text)):
                continue
            verdict = laws.verdict(laws.first, task, text)
            tried += 1
            if verdict and verdict.status == "pass":
                passed.append(f"the right answer to another task: {example(task, text, verdict)}")
    return f"{len(passed)} of {tried} pass with {passed[0]}" if len(passed) >= max(WITNESSES, ALWAYS * tried) else ""
