"""A stand-in teacher: an OpenAI-compatible server on loopback that knows a domain's seeds, and is right most of the time.

    with serving_teacher(domain) as teacher:
        teacher.url                                    # http://127.0.0.1:PORT/v1

It recognises what is asked by the domain's own prompt templates. A rewrite is its parent with further sentences that do not
change the answer, so that the answer is the known one of the seed that stands in the text; one reply in five holds the
answer of another seed, which a verifier should refuse. Invariant: a reply depends on the request alone.
"""

import asyncio
import hashlib
import json
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from evoltune.domain import Domain, author_code, seeds_of
from evoltune.record import Record
from evoltune.rehearse.loopback import serving_app
from evoltune.text.prompts import read_prompt

WRONG_EVERY = 5
SENTENCES = (
    "{name} asks this on a {day} in {place}.",
    "{name} wants the reasons in plain words.",
    "A friend from {place} reads the result aloud.",
    "{name} has a quiet afternoon and a sharp pencil.",
    "The note lies on a desk in {place} until {day}.",
    "Nobody but {name} is in a hurry.",
    "It was written down by {name} after lunch.",
    "On {day} the same question comes up in {place}.",
)
"""Additions that change no answer."""
NAMES = ("Ada", "Bela", "Chidi", "Dana", "Emre", "Fatou", "Goran", "Hana", "Ines", "Jonas", "Kofi", "Lena")
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
PLACES = ("Bergen", "Cusco", "Dakar", "Essen", "Fukui", "Genoa", "Hilo", "Izmir", "Jena", "Kyiv", "Lagos", "Malmo")


@dataclass(frozen=True)
class Pattern:
    """A prompt template as an expression that finds the texts in its slots."""

    purpose: str
    expression: re.Pattern[str]
    static: int
    """Characters outside the slots: of several that match, the one with most is meant."""


def pattern_of(purpose: str, template: str) -> Pattern:
    parts = re.split(r"\{(\w+)\}", template.strip())
    seen: set[str] = set()
    source = ""
    for i, part in enumerate(parts):
        source += re.escape(part) if i % 2 == 0 else f"(?P={part})" if part in seen else f"(?P<{part}>.*?)"
        seen |= {part} if i % 2 else set()
    return Pattern(purpose, re.compile(rf"\s*{source}\s*", re.S), sum(map(len, parts[::2])))


@dataclass
class Knowledge:
    """The prompts of a domain, and its seeds with their answers: all that the stand-in knows."""

    domain: Domain
    seeds: Sequence[Record]
    patterns: list[Pattern] = field(default_factory=list)

    @classmethod
    def of(cls, domain: Domain) -> "Knowledge":
        prompts = {
            "equal": read_prompt("evoltune.evolve", "equal"),
            "difficulty": read_prompt("evoltune.evolve", "difficulty"),
            "repair": read_prompt("evoltune.evolve", "repair"),
            "self_instruct": read_prompt("evoltune.evolve", "self_instruct"),
            **{
                f"judge {name}": read_prompt("evoltune.arena", name)
                for name in ("scores", "criteria", "preference", "ranks", "grades")
            },
            "answer": domain.answer_prompt,
            **{f"evidence {name}": text for name, text in domain.evidence.items()},
            **{f"operator {o.name}": o.template for o in domain.operators if o.template},
        }
        patterns = [pattern_of(purpose, template) for purpose, template in prompts.items()]
        seeds = [s for s in seeds_of(domain) if s.task.instruction]
        # The longest first: a short instruction may stand inside a longer one.
        seeds.sort(key=lambda s: -len(s.task.instruction))
        return cls(domain, seeds, sorted(patterns, key=lambda p: -p.static))

    def asked(self, prompt: str) -> tuple[str, dict[str, str]]:
        """(purpose, texts in the slots) of a prompt; an unknown one has the purpose "other"."""
        for pattern in self.patterns:
            if found := pattern.expression.fullmatch(prompt):
                return pattern.purpose, found.groupdict()
        return "other", {}

    def seed_in(self, text: str) -> Record | None:
        """The seed that a text was made from."""
        return next((seed for seed in self.seeds if seed.task.instruction in text), None)

    def reply(self, prompt: str, rng: random.Random) -> str:
        purpose, slots = self.asked(prompt)
        text = slots.get("instruction", prompt)
        if purpose == "equal":
            return "Equal" if rng.random() < 0.1 else "Not equal"
        if purpose == "difficulty":
            return str(rng.randint(1, 10))
        if purpose.startswith("judge "):
            return judgement(purpose.removeprefix("judge "), slots, rng)
        if purpose == "self_instruct":
            wanted = int(slots.get("wanted") or 1)
            return "\n".join(
                f"{i}. {extended(rng.choice(self.seeds).task.instruction, rng)}" for i in range(1, wanted + 1)
            )
        if purpose.startswith("operator "):
            return extended(text, rng)
        seed = self.seed_in(text)
        if seed is None or rng.randrange(WRONG_EVERY) == 0:
            seed = rng.choice(self.seeds)
        if purpose.startswith("evidence "):
            return self._evidence(seed, purpose.removeprefix("evidence "))
        return seed.answers[0].text if seed.answers else seed.task.reference or "I am not sure."

    def _evidence(self, seed: Record, name: str) -> str:
        if self.domain.stand_in is not None:
            with author_code(self.domain, "stand_in"):
                return self.domain.stand_in(seed.task, name)
        return seed.task.reference or ""


def judgement(protocol: str, slots: Mapping[str, str], rng: random.Random) -> str:
    """A judge's reply: the answer with more different words is the better one, and one judgement in ten is of no sense."""
    if rng.randrange(10) == 0:
        return "I would rather not say."
    texts = (
        re.split(r"\[Answer \d+\]\n", slots["answers"])[1:] if "answers" in slots else [slots["a"], slots.get("b", "")]
    )
    points = [min(10, 1 + len(set(text.split())) // 4) for text in texts]
    if protocol == "ranks":
        order = sorted(set(points), reverse=True)
        return " ".join(str(min(5, 1 + order.index(p))) for p in points) + "\nBy how much they say."
    if protocol == "grades":
        return "It says this much.\n" + ("EXCELLENT" if points[0] > 8 else "PASS" if points[0] > 3 else "FAIL")
    if protocol == "preference":
        return "One says more.\n" + ("TIE" if points[0] == points[1] else "A" if points[0] > points[1] else "B")
    if protocol == "criteria":
        return "\n".join(f"{name}: {' '.join([str(p)] * 5)}" for name, p in zip("AB", points, strict=True))
    return f"{points[0]} {points[1]}\nBy how much they say."


def extended(instruction: str, rng: random.Random) -> str:
    """The instruction with sentences that change nothing, until it is a third longer: less would be a near-duplicate."""
    words, added = len(instruction.split()), 0
    lines = [instruction]
    for sentence in rng.sample(SENTENCES, len(SENTENCES)):
        if added * 2 >= words:
            break
        text = sentence.format(name=rng.choice(NAMES), day=rng.choice(DAYS), place=rng.choice(PLACES))
        added += len(text.split())
        lines.append(text)
    return " ".join(lines) if "\n" not in instruction else "\n".join([instruction, " ".join(lines[1:])])


@dataclass
class StandInTeacher:
    url: str = ""
    requests: int = 0
    purposes: dict[str, int] = field(default_factory=dict)


@contextmanager
def serving_teacher(domain: Domain) -> Iterator[StandInTeacher]:
    """Serves chat completions from a thread of this process."""
    knowledge, teacher = Knowledge.of(domain), StandInTeacher()

    async def chat(request: web.Request) -> web.Response:
        body = await request.json()
        teacher.requests += 1
        purpose, _ = knowledge.asked(body["messages"][-1]["content"])
        teacher.purposes[purpose] = teacher.purposes.get(purpose, 0) + 1
        return web.json_response(await asyncio.to_thread(completion, knowledge, body))

    async def models(request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": []})

    app = web.Application(client_max_size=2**24)
    app.router.add_post("/v1/chat/completions", chat)
    app.router.add_get("/v1/models", models)
    with serving_app(app, "stand-in teacher") as url:
        teacher.url = f"{url}/v1"
        yield teacher


def completion(knowledge: Knowledge, body: Mapping[str, Any]) -> dict[str, Any]:
    prompt = body["messages"][-1]["content"]
    if knowledge.asked(prompt)[0] == "repair":  # the task stands before the answer that failed
        prompt = body["messages"][-3]["content"]
    limit = int(body.get("max_tokens") or body.get("max_completion_tokens") or 2**20)
    choices, used = [], 0
    for i in range(int(body.get("n") or 1)):
        key = json.dumps([body.get("seed"), prompt, i])
        words = knowledge.reply(prompt, random.Random(hashlib.sha256(key.encode()).hexdigest())).split(" ")
        cut = len(words) > limit
        used += min(len(words), limit)
        message = {"role": "assistant", "content": " ".join(words[:limit])}
        choices.append({"index": i, "finish_reason": "length" if cut else "stop", "message": message})
    asked = sum(len(str(m["content"]).split()) for m in body["messages"])
    usage = {"prompt_tokens": asked, "completion_tokens": used, "total_tokens": asked + used}
    return {
        "id": "stand-in",
        "object": "chat.completion",
        "model": body.get("model", ""),
        "choices": choices,
        "usage": usage,
    }
