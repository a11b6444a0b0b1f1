"""Rules that compare a text with what it follows: copies, leaks of the prompt, growth, another language."""

from collections import Counter
from functools import lru_cache

from evoltune.record import Task
from evoltune.text.language import ABOUT_LANGUAGE, language_of, script_of
from evoltune.text.residue import is_residue
from evoltune.text.words import STOP_WORDS, ngrams, prose_words

ECHO_WORDS = 8


def copies_parent(parent: Task | None, child: Task, text: str) -> bool:
    """No information gain, seen without asking the teacher (2304.12244 section 3.3, rule 1)."""
    # The same words in the same order, or from 8 words on a parent in which at most two stop words changed.
    if parent is None:
        return False
    new, old = prose_words(text), prose_words(parent.instruction)
    if new == old:
        return bool(new)
    if len(new) < 8 or len(old) < 8 or abs(len(new) - len(old)) > 2:
        return False
    if not (set(new) ^ set(old)) <= STOP_WORDS:  # most rewrites end here, before anything is counted
        return False
    added, removed = Counter(new) - Counter(old), Counter(old) - Counter(new)
    return (added | removed).keys() <= STOP_WORDS and max(added.total(), removed.total()) <= 2


def copies_instruction(parent: Task | None, child: Task, text: str) -> bool:
    """Repeats the instruction, with little or nothing after it."""
    answer, asked = prose_words(text), prose_words(child.instruction)
    if len(asked) < 5:
        return False
    return answer == asked or (answer[: len(asked)] == asked and len(answer) < 1.3 * len(asked))


def leaks_prompt(parent: Task | None, child: Task, text: str) -> bool:
    """Words of the evolving prompt leaked (2304.12244 section 3.3, rule 4)."""
    # Also mangled or translated: see evoltune.text.residue. What the parent itself says is allowed.
    return is_residue(text) and not (parent and is_residue(parent.instruction))


def echoes_operator(template: str, parent: Task, child: Task) -> bool:
    """Whether the child repeats eight words in a row of the operator's prompt that the parent does not have."""
    shared = _word_runs(template) & _word_runs(child.instruction)
    return bool(shared and shared - _word_runs(parent.instruction))


@lru_cache(maxsize=64)
def _word_runs(text: str) -> frozenset[tuple[str, ...]]:
    return frozenset(ngrams(prose_words(text), ECHO_WORDS))


def grows_too_long(parent: Task | None, child: Task, text: str) -> bool:
    """Over 4 times the parent and 150 words more."""
    # The paper's prompts allow 10 to 20 more words a round; fusion was seen to turn 14 tokens into 325.
    if parent is None:
        return False
    length, before = len(prose_words(text)), len(prose_words(parent.instruction))
    return length > max(4 * before, before + 150)


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
