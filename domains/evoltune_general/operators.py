"""WizardLM's operators (2304.12244): four rewrites in depth, complicate-input in six forms, one in breadth, and fusion; and the
elimination rules that the domain adds to the core's.

Each prompt is a file of `prompts/`, whose first line is a comment that gives its reason and is not sent.
The paper draws its six operators with equal probability; the six forms of `complicate` share one such probability.

    [o.name for o in OPERATORS]
"""

import re

from evoltune.domain import Operator
from evoltune.record import Task
from evoltune.text.labels import declines, solution_label
from evoltune.text.prompts import fill_slots, read_prompt

FORMS = {
    "xml": "an XML document",
    "json": "a JSON object or list",
    "sql": "SQL statements that create a table and fill it with rows",
    "python": "a short Python program",
    "html": "the HTML source of a page",
    "shell": "a shell session: commands and what they printed",
}
KINDS_OF_REASONING = ("lateral", "critical", "compositional")
ANNOUNCES_DATA = re.compile(
    r"(?:\b(?:following|below|these|given this|given these|this)\b"
    r"|\b(?:folgend\w*|untenstehend\w*|unten|nachstehend\w*|diese[nmrs]?|siguientes?|abajo|est[aeo]s?|a continuación|suivante?s?|ci-dessous|ce(?:t|tte|s)?)\b"
    r"|下面|以下|下列|如下|下述|这(?:篇|段|个|份|些|首|句)|次の|下記|この|다음|아래|이 (?:글|기사|문장|표|코드)"
    r"|следующ|ниже|приведённ|приведенн|эт(?:от|у|и|о)\b|التالي|الآتي|الاتي|أدناه|هذا|هذه|निम्नलिखित|निम्न|नीचे|इस )"
    r"[^.?!。？！؟।\n]*[:：]\s*\Z",
    re.IGNORECASE,
)
"""The last sentence points at something that would follow it, and nothing follows."""
WORKS_ON_ATTACHMENT = re.compile(
    r"\A\W*(?:please )?(?:translate|summari[sz]e|analy[sz]e|read|review|edit|proofread|rewrite|explain|describe|correct|convert|check|"
    r"study|examine|compare|use|look at)(?: (?:all|both|each|of|the|this|these|my|our|\w+ly))* (?:attached|enclosed|uploaded) \w+[^\n]*\Z",
    re.IGNORECASE,
)
"""One line that begins by working on an attachment, which no text has."""


def prompt(name: str) -> str:
    """The text of a prompt, ending in a newline."""
    return read_prompt("evoltune_general", name) + "\n"


def example(form: str) -> str:
    """The demonstration of one form: a task, an empty line with `---`, the same task with data."""
    return prompt(f"complicate_{form}").strip()


def _complicate(form: str) -> Operator:
    # `{instruction}` is the only slot left for the evolving loop to fill.
    template = fill_slots(prompt("complicate"), form=FORMS[form], example=example(form))
    return Operator(name=f"complicate_{form}", template=template, weight=1 / len(FORMS))


OPERATORS = (
    Operator(name="constraints", template=prompt("constraints")),
    Operator(name="deepen", template=prompt("deepen")),
    Operator(name="concretize", template=prompt("concretize")),
    Operator(name="reasoning", template=prompt("reasoning"), reasoning="multi-step"),
    *(_complicate(form) for form in FORMS),
    Operator(name="breadth", template=prompt("breadth"), kind="breadth"),
    Operator(name="fuse", template=prompt("fuse"), kind="fuse"),
    # The paper has none of these: kinds of reasoning, and dialogues, only where a recipe gives them a weight.
    *(Operator(name=kind, template=prompt(kind), reasoning=kind, weight=0.0) for kind in KINDS_OF_REASONING),
    Operator(name="follow_up", template=prompt("follow_up"), kind="turn", weight=0.0),
)
ANSWER_PROMPT = prompt("answer")


def no_fusion(parent: Task | None, child: Task, answer: str | None) -> str | None:
    """The teacher declined to join two tasks, in the words that prompts/fuse.txt gives it."""
    return "no fusion" if declines(child.instruction, "cannot join") else None


def answers_itself(parent: Task | None, child: Task, answer: str | None) -> str | None:
    """The rewrite came with its own answer, which the model would learn to copy."""
    if parent is not None and solution_label(parent.instruction):
        return None
    return "answers itself" if solution_label(child.instruction) else None


def data_missing(parent: Task | None, child: Task, answer: str | None) -> str | None:
    """The rewrite ends where it announces data, or works on an attachment, so nobody can answer it."""
    text = child.instruction.rstrip()
    announces = text.endswith((":", "：")) and ANNOUNCES_DATA.search(text[-300:])
    return "announced data are missing" if announces or WORKS_ON_ATTACHMENT.match(text) else None


ELIMINATORS = (no_fusion, answers_itself, data_missing)
