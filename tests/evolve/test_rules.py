"""Elimination: every rule on what it is for and on what it must leave alone; leak variants; real responses."""

import gzip
import json
import os
import random
from dataclasses import FrozenInstanceError
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evoltune.domain import Domain
from evoltune.errors import DomainError
from evoltune.evolve.rules.leaks import echoes_operator
from evoltune.evolve.rules.registry import ANSWER_RULES, INSTRUCTION_RULES, RULES, core_reasons, rejection_reason
from evoltune.record import Task, Verdict

DATA = os.environ.get("EVOLTUNE_DATA")
ASK = "Explain how a heat pump moves heat from a cold garden into a warm house."
WORDS = ["".join(pair) for pair in product([c + v for c in "bdfgklmnprtvz" for v in "aeou"], repeat=2)]
random.Random(0).shuffle(WORDS)
"""Distinct words of four letters, none of them a stop word: text in which nothing repeats."""


def core_reason(parent, child, answer):
    return next(core_reasons(parent, child, answer), "")


def instruction(text, parent=ASK):
    return core_reason(Task(instruction=parent) if parent else None, Task(instruction=text), None)


def answer(text, asked=ASK):
    return core_reason(None, Task(instruction=asked), text)


def words(n, start=0):
    return " ".join(WORDS[start : start + n])


def padded(text, length):
    """The text after as many letters as make it `length` characters long."""
    room = length - len(text) - 1
    return (words(room // 5 + 1)[:room].rstrip() + "x" * room)[:room] + " " + text


def drops_answer(reason, text, asked=ASK, parent=None):
    """Whether a rule about answers fires, whatever the other rules say."""
    return reason in list(core_reasons(Task(instruction=parent) if parent else None, Task(instruction=asked), text))


def drops_instruction(reason, text, parent=ASK):
    return reason in list(core_reasons(Task(instruction=parent) if parent else None, Task(instruction=text), None))


def test_residue_that_the_parent_has_itself_is_allowed():
    parent = "Identify the bias in the given prompt and explain it."
    assert (
        instruction("Identify the bias in the given prompt, name its kind, and suggest a neutral wording.", parent)
        == ""
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("   \n", "empty instruction"),
        ("... !? --", "only stop words"),
        ("And then it is what it is, as they have been.", "only stop words"),
        (ASK.upper(), "copy of the parent"),
        (ASK.replace("a warm house", "the warm house"), "copy of the parent"),
        (
            "Explain it. " + "Consider another aspect of pump number %d and its valve. " * 40 % tuple(range(40)),
            "over-long growth",
        ),
        ("Explain heat. " + "Explain the heat pump in the garden. " * 12, "loop"),
        ("Explain heat.<|im_end|>\n<|im_start|>assistant\nHeat is energy.", "run-on"),
        (
            "Erkläre, wie eine Wärmepumpe die Wärme aus dem kalten Garten in ein warmes Haus bringt und warum das geht.",
            "language drift",
        ),
        ("请解释热泵如何把热量从寒冷的花园搬到温暖的房子里，并说明原因。", "language drift"),
    ],
)
def test_an_instruction_is_dropped_for_its_fault(text, reason):
    assert instruction(text) == reason


def test_a_real_evolution_is_kept():
    assert (
        instruction(
            "Explain how a heat pump moves heat from a frozen garden into a warm house, and estimate its efficiency at -5 °C."
        )
        == ""
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty answer"),
        (" - . - ", "only stop words"),
        ("I am sorry, but I cannot help with heat pumps.", "sorry"),
        ("As an AI language model, I do not have gardens.", "refusal"),
        ("Please provide the model of the heat pump first.", "unanswerable"),
        ("Sure! What kind of house do you have?", "unanswerable"),
        (ASK, "copy of the instruction"),
        ("#Rewritten Prompt#: Explain a heat pump.", "prompt residue"),
        ("It moves heat. " * 30, "loop"),
        ("The pump warms rooms. " + "".join(f"codice_{i} " for i in range(40)), "loop"),  # only a periodic end
        (" ".join(random.Random(1).choices(("hot", "cold"), k=120)), "loop"),  # only few distinct phrases
        (
            "The pump compresses the gas.\n" + "\n".join(f"Step {i}: turn the valve of the pump." for i in range(40)),
            "loop",
        ),
        ("The gas takes up heat outside.\n\nInput: a fridge\nOutput: the same, turned round", "run-on"),
        ("The gas takes up heat outside.\n### Instruction:\nExplain a fridge.", "run-on"),
        ("The gas takes up heat outside.\n\nUsuario: ¿Y una nevera?\nAsistente: Al revés.", "run-on"),
        ("Here is code:\n```python\ndef pump(heat):\n    return heat", "truncated"),
        (
            "Die Pumpe nimmt die Wärme aus dem Garten auf und gibt sie im Haus mit einer höheren Temperatur wieder ab.",
            "language drift",
        ),
    ],
)
def test_an_answer_is_dropped_for_its_fault(text, reason):
    assert answer(text) == reason


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        ("What is 6 times 7?", "42"),
        ("Is the earth flat?", "No."),
        ("React with emojis.", "😌😊"),
        ("What is the derivative of x squared?", "2x"),
        ("Which option is right: a, b or c?", "a"),
        ("Write an apology to a guest.", "Dear guest, we are sorry for the noise."),
        ("Write a mail that asks for documents.", "Dear Ann, could you please provide the signed form? Thanks."),
        ("Write a function that doubles.", "Here it is:\n```python\ndef double(x):\n    return 2 * x\n```\nIt doubles x."),
        ("Translate to German: the bread and the water are on the table of the house.", "Das Brot und das Wasser sind auf dem Tisch des Hauses."),
        ("Solve this sudoku.", "\n".join(" ".join(str((i + j) % 9 + 1) for j in range(9)) for i in range(9))),
        ("Write a quiz of two questions on birds with answers.", "Question: Which bird cannot fly?\nAnswer: The ostrich.\nQuestion: Which bird hums?\nAnswer: The hummingbird."),
        ("Say sorry in long form.", "sorry " + "the visit was long and full of small surprises for all of the guests " * 1),
        ("Print a table of squares.", "| n | n squared |\n|---|---|\n" + "\n".join(f"| {i} | {i * i} |" for i in range(20))),
    ],
)  # fmt: skip
def test_a_good_answer_is_left_alone(asked, text):
    assert answer(text, asked) == ""


def test_words_of_the_operator_prompt_are_seen_as_an_echo():
    template = "Make the task harder by asking for one more step of reasoning than before:\n{instruction}"
    parent = Task(instruction="Sort the towns.")
    assert echoes_operator(
        template, parent, Task(instruction="Sort the towns by asking for one more step of reasoning than before.")
    )
    assert not echoes_operator(
        template, parent, Task(instruction="Sort the towns by distance and then by age of the castle.")
    )


@pytest.mark.parametrize(
    ("text", "dropped"),
    [
        ("“…” — ‘’", True), ("！？、。", True), ("=", False), ("∞", False), ("√", False), ("✓", False),
        ("The of and.", True), ("The heat.", False),
        ("Yes it is.", False), ("Yes it is so.", True),  # at most three words around a short answer
    ],
)  # fmt: skip
def test_only_stop_words(text, dropped):
    assert drops_answer("only stop words", text) == dropped


def periodic(unit, length, lead):
    """Ends in exactly `length` characters of a repeated unit; the character before breaks the period."""
    return lead + (unit * length)[-length:]


@pytest.mark.parametrize(
    ("text", "dropped"),
    [
        # the period 10: from 90 further characters on
        (periodic("abc def-g ", 100, words(10) + "#").rstrip() + "q", False),
        (periodic(" abc def-g", 100, words(10) + "#"), True),
        (periodic(" abc def-g", 99, words(10) + "#"), False),
        # the period 50: three times
        (periodic(" " + words(9)[:43] + " valve", 150, "#" * 3), True),
        (periodic(" " + words(9)[:43] + " valve", 149, "#" * 3), False),
        # a text of 120 characters that is nothing else
        (periodic(" abc def-g", 120, ""), True), (periodic(" abc def-g", 119, ""), False),
        (periodic(" abc def-g", 100, "#" * 20), True), (periodic(" abc def-g", 100, "#" * 19), False),
        (periodic(" abc def-g", 200, "") + "   \n\n", True),
        # digits apart; no letters: a table, a sequence, a rule
        ("Files: " + "".join(f" file_{i}" for i in range(95, 112)), True),
        (periodic(" 1 0 |", 140, "Bits:"), False), (periodic("-", 140, "Rule:"), False), (periodic(" x + y", 140, "S:"), False),
        # the period's own end occurs twice inside it, and neighbours repeat: a shorter probe sees the wrong period
        (("open the lid of the big old box " + words(3) + " and close the lid of the big old box " + words(5, 9) + " and close the lid of the big old box ") * 3, True),
        ("The end alone repeats: " + words(20) + " to the left and to the right side " + words(20, 30) + " to the left and to the right side", False),
    ],
)  # fmt: skip
def test_a_periodic_end_is_a_loop(text, dropped):
    assert drops_answer("loop", text) == dropped


def lines(same, others, line="open the valve", end="\n"):
    """One line several times, and others that occur once, the last of them at the end."""
    return end.join([line] * same + [words(3, 3 * i) for i in range(others)])


@pytest.mark.parametrize("end", ["\n", ". ", "! "])
@pytest.mark.parametrize(
    ("same", "others", "dropped"),
    [(5, 1, True), (5, 0, False), (4, 2, False), (4, 1, False), (5, 3, True), (5, 4, False), (10, 10, True), (9, 10, False)],
)  # fmt: skip
def test_repeated_lines_and_sentences_are_a_loop_from_four_and_45_percent_on(same, others, dropped, end):
    assert drops_answer("loop", lines(same, others, end=end)) == dropped


@pytest.mark.parametrize(
    ("text", "dropped"),
    [
        (lines(5, 1, "open a valve"), True), (lines(5, 1, "open a door"), False),  # 12 and 11 characters
        (lines(5, 1, "| 12 | 34 | 56 |"), False), (lines(5, 1, "|-----|------|"), False), (lines(5, 1, "ab cd ef gh ij"), False),
        ("\n".join(f"step {i} is done" for i in range(5)) + "\n" + words(3), True),
        (lines(5, 0, "|-----|------|") + "\n" + lines(4, 1), False),  # only three repeated once the rules of a table are gone
        (lines(5, 0, "|-----|------|") + "\n" + lines(5, 2), True),
        (lines(9, 0, "|-----|------|") + "\n" + lines(1, 5), False),
    ],
)  # fmt: skip
def test_short_lines_and_lines_without_words_do_not_count(text, dropped):
    assert drops_answer("loop", text) == dropped


def phrases(total, period, distinct):
    """`period + distinct` distinct runs of four words."""
    repeated = [WORDS[i % period] for i in range(total - distinct)]
    return " ".join(repeated + WORDS[100 : 100 + distinct])


@pytest.mark.parametrize(
    ("text", "dropped"),
    [
        (phrases(60, 10, 12), True), (phrases(60, 10, 13), False), (phrases(59, 8, 12), False),
        (phrases(93, 16, 19), True), (phrases(93, 16, 20), False),  # 36 of 90 are not fewer than 40%
        ("=" * 500, True), ("=" * 499, False),  # hardly any entropy
        ("".join(random.Random(0).choices("+-=*/<>|", k=200)) + "=" * 1000, True),
        ("".join(random.Random(0).choices("+-=*/<>|", k=700)) + "=" * 500, False),
        (words(300), False),
    ],
)  # fmt: skip
def test_few_phrases_or_little_entropy_are_a_loop(text, dropped):
    assert drops_answer("loop", text) == dropped


LONG = words(600)


@pytest.mark.parametrize(
    ("text", "dropped"),
    [
        ("```\nx = 1", True), ("```\nx = 1\n```", False), ("```\n1\n```\n~~~\n2", True), ("```\n1\n```\n  ~~~\n2\n~~~", False),
        ("Use ``` inside a line.", False),
        (padded("and", 401), True), (padded("and", 400), False), (padded("AND", 401) + "  \n", True), (padded("sand", 401), False),
        (padded("heat,", 401), True), (padded("heat.", 401), False), (padded("heat", 401), False),
        (padded("heat", 2401), True), (padded("heat", 2400), False), (padded("heat", 2401) + ".", False),
        (LONG + ".\nKind regards from the whole team", False),  # six words: a signature, a heading
        (LONG + ".\nKind regards from all of the team", True), (LONG + "\nKind regards from all of the team!", False),
        (LONG + "\nThe last word is a formula: $x$", False), (LONG + ".\nSo the pump takes heat out of\nthe garden", False),
        ("Short.\n" + LONG + ".\n\nKind regards from all of the team", True), ("a b c d e f g h\n" + LONG + ".", False),
    ],
)  # fmt: skip
def test_an_answer_that_breaks_off_is_truncated(text, dropped):
    assert drops_answer("truncated", text) == dropped


SEVEN = "Sort seven red apples by weight today"
EIGHT = "Sort eight red apples by weight today please"


@pytest.mark.parametrize(
    ("parent", "text", "dropped"),
    [
        (EIGHT, EIGHT, True), ("Sort.", "sort", True), ("?!", "...", False), (None, EIGHT, False),
        (words(15), words(15) + " too", True), (words(16), words(15), False), (words(16), words(14) + " for me", False),
        (EIGHT, EIGHT + " now", False),  # "now" is no stop word
        (SEVEN, SEVEN.replace("by", "with"), False), (EIGHT, EIGHT.replace("by", "with"), True),  # from eight words on
        (SEVEN, SEVEN + " too", False), (SEVEN + " too", SEVEN, False), (EIGHT + " too", EIGHT, True),
        (EIGHT, EIGHT + " too", True), (EIGHT, EIGHT + " for me", True), (EIGHT, EIGHT + " for me too", False),
        (EIGHT + " for me", EIGHT, True), (EIGHT + " for me too", EIGHT, False),
        (EIGHT, EIGHT.replace("apples", "pears"), False),
        (EIGHT, EIGHT.replace("red", "red red"), False), (EIGHT.replace("red", "red red"), EIGHT, False),
        ("The red and the blue pump in the old garden", "A red or the blue pump in the old garden", True),  # two changed
        ("The red and the blue pump in the old garden", "A red or the blue pump on the old garden", False),  # three changed
        ("The red and the blue pump in the old garden", "A red or that blue pump which is on this old garden", False),
    ],
)  # fmt: skip
def test_a_copy_of_the_parent_has_at_most_two_other_stop_words(parent, text, dropped):
    assert drops_instruction("copy of the parent", text, parent) == dropped


@pytest.mark.parametrize(
    ("asked", "text", "dropped"),
    [
        (words(2), words(2), False), (words(3), words(3), True), (words(4), words(5), False), (words(5), words(6), True), (words(5), words(5), True), (words(5), words(5).upper() + "!", True),
        (words(10), words(12), True), (words(10), words(13), False),  # under 1.3 times its length
        (words(10), words(9), False), (words(10), words(12, 20), False), (words(10), words(10, 1), False),
        ("안녕하세요여러분", "안녕하세요여러분", False), ("안녕하세요 여러분", "안녕하세요 여러분", True),  # one word, two words of eight syllables
    ],
)  # fmt: skip
def test_a_copy_of_the_instruction_has_little_after_it(asked, text, dropped):
    assert drops_answer("copy of the instruction", text, asked) == dropped


def test_residue_counts_with_and_without_a_parent_that_is_clean():
    leak = "#Rewritten Prompt#: Sort the towns."
    for parent, dropped in ((None, True), (ASK, True), ("Shorten the given prompt.", False)):
        assert drops_instruction("prompt residue", leak, parent) == dropped
        assert drops_answer("prompt residue", leak, ASK, parent) == dropped
    assert not drops_instruction("prompt residue", ASK, None)


@pytest.mark.parametrize(
    ("template", "parent", "child", "echoes"),
    [
        (words(20), words(5, 50), words(5, 50) + " " + words(8, 3), True),
        (words(20), words(5, 50), words(5, 50) + " " + words(7, 3), False),
        (words(20), words(8, 3), words(3, 50) + " " + words(8, 3), False),  # the parent has them
        (words(20), words(8, 3), words(3, 50) + " " + words(9, 3), True),  # all but one of them
        (words(20), words(9, 3), words(3, 50) + " " + words(8, 3), False),
        (words(20), words(9, 40), words(9, 60), False),
        (words(7), words(9, 40), words(7), False),
    ],
)  # fmt: skip
def test_an_echo_is_eight_words_in_a_row_that_the_parent_lacks(template, parent, child, echoes):
    assert echoes_operator(template, Task(instruction=parent), Task(instruction=child)) == echoes


@pytest.mark.parametrize(
    ("before", "after", "dropped"),
    [(10, 160, False), (10, 161, True), (50, 200, False), (50, 201, True), (60, 240, False), (60, 241, True), (0, 161, False)],
)  # fmt: skip
def test_growth_is_over_long_beyond_four_times_and_150_words_more(before, after, dropped):
    parent = words(before, 1000) if before else None
    assert drops_instruction("over-long growth", words(after), parent) == dropped


GERMAN = "Erkläre, wie eine Pumpe die Wärme aus dem Garten in das Haus bringt und warum das nicht mehr kostet."
CHINESE = "请解释热泵如何把热量从寒冷的花园搬到温暖的房子里。"


@pytest.mark.parametrize(
    ("parent", "text", "dropped"),
    [
        (ASK, GERMAN, True), (GERMAN, ASK, True), (ASK, CHINESE, True), (CHINESE, ASK, True), (CHINESE, GERMAN, True),
        (ASK, ASK, False), (GERMAN, GERMAN, False), (None, GERMAN, False), (None, CHINESE, False),
        (ASK, "x = 3", False), ("x = 3", GERMAN, False), ("x = 3", CHINESE, False),  # unknown on one side
        (ASK + " Answer in German.", GERMAN, False), (ASK + " Answer in Chinese.", CHINESE, False),
        (ASK, GERMAN + " Antworte in German.", True),  # the parent did not ask for it
    ],
)  # fmt: skip
def test_an_instruction_keeps_the_language_of_its_parent(parent, text, dropped):
    assert drops_instruction("language drift", text, parent) == dropped


@pytest.mark.parametrize(
    ("parent", "asked", "text", "dropped"),
    [
        (None, ASK, GERMAN, True), (None, ASK, CHINESE, True), (None, GERMAN, GERMAN, False), (None, ASK, "x = 3", False),
        (ASK, GERMAN, GERMAN + " Danke!", False), (GERMAN, ASK, GERMAN, True),  # an answer follows its instruction, not the parent
        (ASK + " Answer in German.", ASK, GERMAN, True), (ASK, ASK + " Answer in German.", GERMAN, False),
    ],
)  # fmt: skip
def test_an_answer_keeps_the_language_of_its_instruction(parent, asked, text, dropped):
    assert drops_answer("language drift", text, asked, parent) == dropped


@pytest.mark.parametrize(
    ("reason", "asked", "text", "dropped"),
    [
        ("sorry", ASK, "Sorry. " + words(78), True), ("sorry", ASK, "Sorry. " + words(79), False),
        ("sorry", ASK, "Sorry. " + words(99), False), ("refusal", ASK, "I cannot help " + words(99), False),
        ("unanswerable", ASK, "Sure, " + words(99) + "?", False), ("unanswerable", ASK, "Please provide " + words(70), False),
        ("sorry", ASK, words(20), False), ("sorry", "Write an APOLOGY.", "Sorry. " + words(20), False),
        ("refusal", ASK, "I cannot help " + words(76), True), ("refusal", ASK, "I cannot help " + words(77), False),
        ("refusal", ASK, '"as an ai, no."', True), ("refusal", ASK, "Robots say: as an AI I am old.", False),
        ("unanswerable", ASK, "Sure, " + words(78) + "?", True), ("unanswerable", ASK, "Sure, " + words(79) + "?", False),
        ("unanswerable", ASK, "Sure, " + words(9) + ".", False), ("unanswerable", ASK, words(9) + "?", False),
        ("unanswerable", ASK, "  sure, is it old?  \n", True),
        ("unanswerable", ASK, "Please provide " + words(57) + ".", True),
        ("unanswerable", ASK, "Please provide " + words(58) + ".", False),
        ("unanswerable", ASK, "PLEASE PROVIDE it", True), ("unanswerable", ASK, "Please be patient. It takes a day.", False),
        ("unanswerable", ASK, "The table was not given to you.", True), ("unanswerable", ASK, "No input was given.", True),
        # the first two sentences and the last
        ("unanswerable", ASK, "It is old. Please provide it. It is red. It is new.", True),
        ("unanswerable", ASK, "It is old. It is red. Please provide it. It is new.", False),
        ("unanswerable", ASK, "It is old. It is red. It is new. Please provide it.", True),
        ("unanswerable", ASK, "It is old. It is red. It is new. Please provide it. ", True),
        # letters, and tasks that want a question
        ("unanswerable", ASK, "Dear Ann, please provide it.", False), ("unanswerable", ASK, "Here:\n dear Ann, please send it.", False),
        ("unanswerable", ASK, "Ann, dear, please provide it.", True),
        ("unanswerable", "Draft an E-Mail to Ann.", "Please provide it.", False),
    ],
)  # fmt: skip
def test_apologies_refusals_and_questions_back(reason, asked, text, dropped):
    assert drops_answer(reason, text, asked) == dropped


@pytest.mark.parametrize(
    ("text", "dropped"),
    [
        ("a <|im_start|> b", True), ("a [inst] b", True), ("Sort.\n## RESPONSE:\nb", True), ("Sort.\n# Response:\nb", False),
        ("Sort ### Response: b", False), ("Sort.", False),
    ],
)  # fmt: skip
def test_an_instruction_holds_no_turn_of_a_template(text, dropped):
    assert drops_instruction("run-on", text) == dropped
    assert drops_answer("run-on", text) == dropped
    assert not drops_answer("run-on", text, ASK + " <|im_end|>")  # a task about templates


ONE = "Question: a?\nAnswer: b.\n"


RUNS = "```python\nf = abs\n```\n" + "Input: 3\nOutput: 9\n"


@pytest.mark.parametrize(
    ("asked", "text", "dropped"),
    [
        (ASK, ONE, True), (ASK, "Question: a?\n", False), (ASK, "Answer: b.\nQuestion: a?", False),
        (ASK, "It is old.\n **QUESTION 1:** a?\nIt is.\n> answer: b.", True), (ASK, "Instructions: a\nResponse: b", True), (ASK, "The question: a? the answer: b.", False),
        ("Write a QUIZ.", ONE, False), ("Write a quiz.", ONE * 2, False), ("Write a quiz.", ONE * 3, True),
        ("Give examples.", "Input: 1\nOutput: 2", False), ("Give examples.", "Input: \nOutput: 2", True),
        ("Give examples.", "input:  \n1\noutput: 2", True),
        # labels that the instruction has, up to twice
        ("Sort.\nInput: 3 1\nOutput:", "Input: 3 1\nOutput: 1 3", False), ("Sort.\nInput: 3 1", "Input: 3 1\nOutput: 1 3", False),
        ("Sort.\nInput: 3 1\nOutput:", "Input: 3 1\nOutput: 1 3\n" * 2, False),
        ("Sort.\nInput: 3 1\nOutput:", "Input: 3 1\nOutput: 1 3\n" * 3, True),
        # runs of a program, behind it: n of them are 2n - 1 pairs of neighbours, and eleven are the most
        ("Write a function.", RUNS * 6, False), ("Write a function.", RUNS * 6 + "Input: 4\n", True), ("Write a function.", RUNS * 7, True), ("Write a function.", RUNS * 9, True),
    ],
)  # fmt: skip
def test_pairs_of_labels_open_another_task(asked, text, dropped):
    assert drops_answer("run-on", text, asked) == dropped


SIX = words(6, 2000)
FIVE = words(5, 2000)


@pytest.mark.parametrize(
    ("asked", "text", "dropped"),
    [
        (SIX + ". Be brief.", f"{words(9)} {SIX} {words(9)} {SIX}", True), (SIX, f"{SIX}. {words(9)}. {SIX.upper()}", True),
        (FIVE, f"{words(9)} {FIVE} {words(9)} {FIVE}", False),
        (FIVE + ". Go on", f"{words(9)} {FIVE} {words(9)} {FIVE}", False),  # too short: the whole instruction counts
        (FIVE + ". Go on", f"{words(9)} {FIVE}. Go on {words(9)} {FIVE}.\n Go on", True),
        # once: not at the start, and in an answer of over four times its length and 200 characters (SIX has 29)
        (SIX, padded(SIX, 4 * 29 + 201), True), (SIX, padded(SIX, 4 * 29 + 200), False),
        (SIX, f"{SIX} {words(99)}", False), (SIX, f"x {SIX} {words(99)}", True), (SIX, words(99), False),
    ],
)  # fmt: skip
def test_an_answer_does_not_come_back_to_the_instruction(asked, text, dropped):
    assert drops_answer("run-on", text, asked) == dropped


def test_a_domain_can_add_rules_and_a_broken_one_is_named():
    def no_towns(parent, child, answer):
        return "about towns" if "town" in child.instruction else None

    def broken(parent, child, answer):
        raise KeyError("x")

    def domain(*rules):
        return Domain(
            name="d", seeds=list, operators=(), verify=lambda t, c, x: Verdict(status="fail"), eliminators=rules
        )

    assert rejection_reason(domain(no_towns), None, Task(instruction="Sort the towns by size."), None) == "about towns"
    with pytest.raises(DomainError, match="eliminator broken raised KeyError") as raised:
        rejection_reason(domain(broken), None, Task(instruction="Sort the towns by size."), None)
    assert isinstance(raised.value.__cause__, KeyError)

    class Nameless:
        def __call__(self, parent, child, answer):
            raise ValueError(answer)

    with pytest.raises(DomainError, match="domain 'd': eliminator Nameless raised ValueError: Six"):
        rejection_reason(domain(Nameless()), None, Task(instruction="How many towns?"), "Six towns.")
    # one that finds nothing leaves the word to the next; the core's rules come before all of them
    rules = domain(lambda *_: "", no_towns, broken)
    assert rejection_reason(rules, None, Task(instruction="Sort the towns by size."), None) == "about towns"
    assert rejection_reason(rules, None, Task(instruction="Sort the towns by size."), "") == "empty answer"
    assert rejection_reason(domain(no_towns), None, Task(instruction="Sort the birds by size."), None) == ""


def test_rules_are_named_once_per_subject_and_documented():
    assert len({(r.about, r.name) for r in RULES}) == len(RULES)
    assert all(r.doc for r in RULES)
    assert {r.about for r in INSTRUCTION_RULES} == {"instruction"} and {r.about for r in ANSWER_RULES} == {"answer"}
    with pytest.raises(FrozenInstanceError):
        RULES[0].name = "another reason"


@given(st.text(max_size=300), st.text(max_size=300))
def test_rules_never_fail_and_depend_on_their_arguments_alone(asked, text):
    child = Task(instruction=asked)
    assert list(core_reasons(None, child, text)) == list(core_reasons(None, child, text))
    assert core_reason(child, Task(instruction=text), None) == core_reason(child, Task(instruction=text), None)


def _responses(name):
    if not DATA:
        pytest.skip("EVOLTUNE_DATA is not set")
    with gzip.open(Path(DATA) / "eliminator_responses" / f"{name}_predictions.jsonl.gz", "rt") as lines:
        for line in lines:
            row = json.loads(line)
            asked = "\n".join(filter(None, (row["instruction"], row["input"])))
            yield core_reason(None, Task(instruction=asked), row["response"])


def test_runaway_responses_of_a_base_model_are_dropped():
    found = list(_responses("davinci"))
    assert sum(map(bool, found)) >= 0.9 * len(found)


def test_responses_of_a_tuned_model_are_kept():
    found = list(_responses("text-davinci-003"))
    assert sum(not r for r in found) >= 0.97 * len(found)


@pytest.mark.parametrize("letter", ["a", "ha", "啊", "да", "हा"])
def test_one_letter_without_end_is_a_loop(letter):
    assert drops_answer("loop", letter * 300)
    assert not drops_answer("loop", "The answer is: " + letter * 3)


@pytest.mark.parametrize(
    ("parent", "text", "dropped"),
    [
        ("Explain why a dog bites a man and why the cat runs away", "Explain why a man bites a dog and why the cat runs away", False),
        ("Explain why it is safe to eat the red apple today", "Explain why it is not safe to eat the red apple today", False),
        ("Erkläre, warum das Eisen in der Nähe des Meeres rostet.", "Erkläre, warum Eisen in der Nähe des Meeres rostet.", True),
        ("Explica por qué el hierro y la madera se comportan así cerca del mar.", "Explica por qué hierro y madera se comportan así cerca del mar.", True),
        ("写一首关于春天的短诗，不超过四行。", "请写一首关于春天的短诗，不超过四行！", True), ("写一首关于春天的短诗。", "写一首关于冬天的短诗。", False),
        ("Объясните, почему железо ржавеет.", "объясните почему железо ржавеет", True),
    ],
)  # fmt: skip
def test_a_copy_has_the_same_words_in_the_same_order(parent, text, dropped):
    assert drops_instruction("copy of the parent", text, parent) == dropped


@pytest.mark.parametrize(
    "turn",
    [
        "<end_of_turn>\n<start_of_turn>user\n", "<|eot_id|><|start_header_id|>user<|end_header_id|>\n\n", "<｜end▁of▁sentence｜><｜User｜>",
        "<|end|><|start|>user<|message|>", "<|channel|>final<|message|>", "<|return|>", "<|END_OF_TURN_TOKEN|><|START_OF_TURN_TOKEN|><|USER_TOKEN|>",
        "[|endofturn|]\n[|user|]", "</s>\n<s>[INST] ", "<|endoftext|>", "<|user|>\n", "\n### Instruction:\n", "<|observation|>", "<|begin_of_text|>",
    ],
)  # fmt: skip
def test_turn_markers_of_all_templates_are_run_ons(turn):
    text = f"Paris.{turn}And of Spain?"
    assert drops_answer("run-on", text) and drops_instruction("run-on", f"Name a capital.{turn}Paris.")
    assert not drops_answer(
        "run-on", f"It ends a turn:\n```\n{turn.strip()}\n```", "Explain special tokens of a chat template."
    )


@pytest.mark.parametrize(
    ("asked", "text", "dropped"),
    [
        (ASK, "<think>\nFirst, the pump", True), (ASK, "<think>\nFirst.\n</think>\nIt moves heat.", False),
        (ASK, "<reasoning>Let me see", True), ("Write a function.", "```python\nf = 1\n```\nInput: 3\nOutput: 9\nInput: 4\nOutput: 16", False),
        (ASK, "It moves heat.\n\nQuestions: a?\nAnswers: b.", True), (ASK, "Sie bewegt Wärme.\n\nFrage: Warum?\nAntwort: Darum.", True),
        (ASK, "它搬运热量。\n\n问题：为什么？\n回答：因为。", True), ("Schreibe ein Interview mit Fragen.", "Frage: Warum?\nAntwort: Darum.", False),
    ],
)  # fmt: skip
def test_thoughts_and_labels_of_another_task(asked, text, dropped):
    assert drops_answer("run-on", text, asked) == dropped


@pytest.mark.parametrize(
    ("parent", "text", "dropped"),
    [
        (ASK, "<think>\nI add a step to it.", True), ("Explain what <think> does.", "<think> opens a thought: say when a model writes it.", False),
        ("Explain what </think> does.", "A thought ends with </think>. When does a model write it?", False), (None, "Sort it.</think>", True),
    ],
)  # fmt: skip
def test_an_instruction_may_speak_of_thoughts_where_its_parent_does(parent, text, dropped):
    assert drops_instruction("run-on", text, parent) == dropped


@pytest.mark.parametrize(
    ("asked", "dropped"),
    [("Reply!", True), ("Write emails.", True), ("Draft an e-mail.", False), ("Sort the towns.", True)],
)
def test_a_question_back_may_be_the_text_that_was_asked_for_from_three_words_on(asked, dropped):
    assert drops_answer("unanswerable", "Please provide it.", asked) == dropped


TIDES = "The moon pulls the water of the sea towards it, so it rises twice a day."


@pytest.mark.parametrize(
    ("parent", "asked", "answer", "dropped"),
    [
        ("Why are there tides?", f"Why are there tides on every coast?\n\nAnswer: {TIDES}", TIDES, True),
        ("Why are there tides?", f"Why are there tides on every coast? {TIDES}", TIDES, True),
        (None, f"Why are there tides on every coast? {TIDES}", TIDES, False),
        (f"Shorten: {TIDES}", f"Shorten this as far as it can be: {TIDES}", TIDES, False),
        ("Why are there tides?", f"Which sentence is true? It is cold. {TIDES}", TIDES, False),
        ("Why are there tides?", f"Repeat this: {TIDES}", TIDES, False),
        ("Why are there tides?", "Why are there tides, the moon or the wind?", "The wind", False),
    ],
)
def test_a_rewrite_that_ends_with_its_own_answer_is_dropped(parent, asked, answer, dropped):
    reasons = core_reasons(parent and Task(instruction=parent), Task(instruction=asked), answer)
    assert ("copy of the instruction" in reasons) == dropped
