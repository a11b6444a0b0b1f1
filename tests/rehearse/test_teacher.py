"""The stand-in teacher recognises every prompt of every installed domain, and is right most of the time."""

from __future__ import annotations

import json
import random
import urllib.request

import pytest

from evoltune.domain import installed, load_domain
from evoltune.rehearse.teacher import WRONG_EVERY, Knowledge, serving_teacher
from evoltune.text.prompts import fill_slots, read_prompt

HOSTILE = "Line one {instruction}\n\nLine two with (brackets) and \\d+ and a $ at the end$"


@pytest.mark.parametrize("ref", installed())
def test_every_prompt_of_a_domain_is_recognised_with_what_stands_in_it(ref: str):
    domain = load_domain(ref)
    knowledge = Knowledge.of(domain)
    prompts = {f"operator {o.name}": o.template for o in domain.operators if o.template}
    prompts |= {"answer": domain.answer_prompt, **{f"evidence {name}": text for name, text in domain.evidence.items()}}
    for text in (HOSTILE, domain_seed(ref)):
        for purpose, template in prompts.items():
            found, slots = knowledge.asked(fill_slots(template, instruction=text, other="Another task."))
            # Operators may share one template: then either name is right.
            assert prompts.get(found) == template and slots["instruction"].strip() == text, purpose


def domain_seed(ref: str) -> str:
    return next(iter(load_domain(ref).seeds())).task.instruction.strip()


def test_a_rewrite_holds_its_parent_so_that_the_known_answer_stays_right():
    knowledge = Knowledge.of(load_domain("math"))
    seed = knowledge.seeds[0]
    child = knowledge.reply(
        fill_slots(knowledge.domain.operators[0].template, instruction=seed.task.instruction), random.Random(1)
    )
    assert child.startswith(seed.task.instruction) and child != seed.task.instruction
    answers = [
        knowledge.reply(fill_slots(knowledge.domain.answer_prompt, instruction=child), random.Random(i))
        for i in range(200)
    ]
    right = sum(answer == seed.answers[0].text for answer in answers) / len(answers)
    assert 1 - 1.6 / WRONG_EVERY < right < 1 - 0.5 / WRONG_EVERY


def test_judgements_are_read_as_what_they_are():
    knowledge = Knowledge.of(load_domain("general"))
    equal = fill_slots(read_prompt("evoltune.evolve", "equal"), parent="One task.", instruction="Another task.")
    assert {knowledge.reply(equal, random.Random(i)) for i in range(99)} == {"Equal", "Not equal"}
    rated = knowledge.reply(
        fill_slots(read_prompt("evoltune.evolve", "difficulty"), instruction="One task."), random.Random(1)
    )
    assert 1 <= int(rated) <= 10


def test_the_server_gives_the_same_reply_to_the_same_request_and_says_when_it_was_cut():
    with serving_teacher(load_domain("math")) as teacher:

        def ask(**more):
            body = {"model": "m", "messages": [{"role": "user", "content": "Make it harder."}], "n": 2, **more}
            request = urllib.request.Request(
                f"{teacher.url}/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
            )
            return json.load(urllib.request.urlopen(request))["choices"]

        assert ask(seed=1) == ask(seed=1) != ask(seed=2)
        assert {c["finish_reason"] for c in ask(seed=1, max_tokens=1)} == {"length"}
        assert teacher.requests == 4
