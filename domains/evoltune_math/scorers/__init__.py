"""Published scorers, bug for bug, as profiles: for comparison with published numbers, never for data or rewards.

    profiles["wizardmath"].verify(task, "\\\\text{ a}\\\\text{ b}", context).status == "pass"   # the published defect

Each module states the rules of one publication. Where the originals hand model text to SymPy (`parse_latex`, `sympify`),
ours reads it with our own parser: nothing is executed, and a difference can come only from text that the two read
differently.
"""

from collections.abc import Callable

from evoltune.domain import Context, Profile
from evoltune.record import Task, Verdict
from evoltune_math.scorers import gsm8k, hendrycks, minerva, wizardmath
from evoltune_math.verification import MAX_EVIDENCE


def _profile(
    find: Callable[[str], str | None], same: Callable[[str, str], bool], reference_of: Callable[[str], str] = str
) -> Profile:
    def extract(task: Task, response: str) -> str | None:
        return find(response)

    def verify(task: Task, candidate: str, context: Context) -> Verdict:
        evidence = {"extracted": candidate[:MAX_EVIDENCE]}
        if task.reference is None:
            return Verdict(status="unverifiable", reason="no reference", evidence=evidence)
        if same(candidate, reference_of(task.reference)):
            return Verdict(status="pass", evidence=evidence)
        return Verdict(status="fail", reason="not equal", evidence=evidence)

    return Profile(version=1, extract=extract, verify=verify)


profiles: dict[str, Profile] = {
    "sound": Profile(version=1),
    "hendrycks": _profile(hendrycks.last_box, hendrycks.same),
    "minerva": _profile(minerva.final_answer, minerva.same),
    "wizardmath": _profile(wizardmath.final_answer, wizardmath.same),
    "wizardmath-gsm8k": _profile(wizardmath.final_whole_number, wizardmath.same_whole_number),
    "gsm8k-strict": _profile(gsm8k.strict_match, gsm8k.exact_match),
    "gsm8k-flexible": _profile(gsm8k.flexible_extract, gsm8k.exact_match),
    "openai-A": _profile(gsm8k.openai_answer, str.__eq__, gsm8k.openai_reference),
}
