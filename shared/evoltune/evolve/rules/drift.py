"""The rule about a change of language that nobody asked for."""

from evoltune.record import Task
from evoltune.text.language import ABOUT_LANGUAGE, language_of, script_of


def drifts(parent: Task | None, child: Task, text: str) -> bool:
    """Another script or language than what it follows (the parent or the instruction), which did not ask for one."""
    is_instruction = text is child.instruction
    if is_instruction and parent is None:
        return False
    before = parent.instruction if is_instruction and parent else child.instruction
    if not (_differ(script_of(before), script_of(text)) or _differ(language_of(before), language_of(text))):
        return False
    return not ABOUT_LANGUAGE.search(before)


def _differ(a: str, b: str) -> bool:
    """Whether both are known and not the same."""
    return bool(a and b and a != b)
