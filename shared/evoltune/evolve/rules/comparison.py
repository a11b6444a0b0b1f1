"""Rules that compare a text with what it follows: copies, growth, another language."""

import re
from collections.abc import Sequence, Set

from evoltune.record import Task
from evoltune.text.language import FUNCTION_WORDS, changes_language, language_of, opens_like
from evoltune.text.words import STOP_WORDS, prose_words, word_count

NEGATIONS = frozenset("no not nor nicht kein pas sin não non niet без не".split())
PARTICLES = frozenset("请請的了吗嗎呢吧啊呀")
HANGUL = re.compile(r"[\uac00-\ud7af]")
GIVEN_AWAY = 8
"""Words of an answer from which on it stands in an instruction by no chance."""
WORD_FOR_WORD = frozenset(
    "repeat copy quote cite extract find identify pick choose select which correct proofread spelling unchanged echo print output say read "
    "transcribe sentence line passage punctuate format sort".split()
)
"""Words of an instruction to whose task a text that it holds may be the answer."""
COPY_WORDS, COPY_TOKENS, COPY_SYLLABLES = 2, 3, 8
"""An answer that equals its instruction is a copy from these lengths on: "Good morning!" answers "Good morning!"."""


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
    minor = STOP_WORDS | PARTICLES | set(FUNCTION_WORDS.get(language_of(parent.instruction), "").split())
    return _edits(new, old, minor - NEGATIONS) <= 2


def _edits(new: Sequence[str], old: Sequence[str], minor: Set[str]) -> int:
    """How many words of `minor` were added, removed or replaced by another; 3 where any other word or its place changed."""
    edits, i, j = 0, 0, 0
    while i < len(new) or j < len(old):
        if i < len(new) and j < len(old) and new[i] == old[j]:
            i, j = i + 1, j + 1
            continue
        added, removed = i, j
        while i < len(new) and new[i] in minor:
            i += 1
        while j < len(old) and old[j] in minor:
            j += 1
        run_new, run_old = list(new[added:i]), list(old[removed:j])
        while run_new and run_old and run_new[-1] == run_old[-1]:
            run_new.pop()
            run_old.pop()
        edits += max(len(run_new), len(run_old))
        if edits > 2 or not (run_new or run_old):
            return 3
    return edits


def copies_instruction(parent: Task | None, child: Task, text: str) -> bool:
    """Repeats the instruction, with little or nothing after it; or the words with which a rewrite ends that answered its task itself."""
    answer, asked = prose_words(text), prose_words(child.instruction)
    if answer == asked:
        is_long = len(asked) >= COPY_TOKENS or len(HANGUL.findall(child.instruction)) >= COPY_SYLLABLES
        return is_long and word_count(text) >= COPY_WORDS
    repeats = len(asked) >= 5 and answer[: len(asked)] == asked and len(answer) < 1.3 * len(asked)
    return repeats or (parent is not None and _is_given_away(answer, asked, prose_words(parent.instruction)))


def _is_given_away(answer: Sequence[str], asked: Sequence[str], before: Sequence[str]) -> bool:
    """Whether an instruction ends with its answer, of which its parent had nothing, and does not ask for a text as it stands."""
    rest = len(asked) - len(answer)
    if len(answer) < GIVEN_AWAY or rest <= 0 or asked[rest:] != answer or not WORD_FOR_WORD.isdisjoint(asked[:rest]):
        return False
    return f" {' '.join(answer)} " not in f" {' '.join(before)} "


def grows_too_long(parent: Task | None, child: Task, text: str) -> bool:
    """Over 4 times the parent and 150 words more."""
    # The paper's prompts allow 10 to 20 more words a round; fusion was seen to turn 14 tokens into 325.
    if parent is None:
        return False
    length, before = word_count(text), word_count(parent.instruction)
    return length > max(4 * before, before + 150)


def instruction_drifts(parent: Task | None, child: Task, text: str) -> bool:
    """Another script or language than the parent, which did not ask for one."""
    if parent is None or not changes_language(parent.instruction, text):
        return False
    return not opens_like(parent.instruction, text)


def answer_drifts(parent: Task | None, child: Task, text: str) -> bool:
    """Another script or language than the instruction, which did not ask for one."""
    return changes_language(child.instruction, text)
