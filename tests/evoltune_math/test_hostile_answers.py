"""Nothing in an answer is executed and nothing hangs: bombs, injections, a million characters, in every profile."""

from __future__ import annotations

import multiprocessing
import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from evoltune.domain import Context
from evoltune.record import Task, Verdict
from evoltune_math import check, domain

CPU_LIMIT_S = 20

BOMBS = [
    "9^{9^{9^{9}}}", "2^{2^{2^{2^{2^{2}}}}}", "1000000!", "((100!)!)!", r"\binom{10^9}{5\cdot10^8}", r"\sum_{k=1}^{10^{12}} \frac{1}{k^2+1}",
    r"\prod_{k=1}^{10^{9}} k", "(x+y+z)^{3000}", r"\sqrt{" * 200 + "2" + "}" * 200, "(" * 3000 + "1" + ")" * 3000, "1e1000000000",
    r"\lfloor 10^{10^{7}} \pi \rfloor", r"(\sqrt2+\sqrt3+\sqrt5+\sqrt7)^{50}", r"\gcd(10^{10^8}, 2^{10^8})", r"\sum_{n=1}^{\infty} \frac{\sin(n^3)}{n^{1.5}}",
    "e^{e^{e^{e^{e^{e}}}}}", r"10^{-10^{10}}", r"\cosh(10^{10})", r"\int_0^{1} x^{x^{x}} dx", "1+" * 3000 + "1", "-" * 5000 + "1", "a/" * 1200 + "b",
    r"\text{" * 500 + "x" + "}" * 500, r"\pm" * 40 + "1", r"\{1\pm2, 3\pm4\pm5\pm6\pm7\pm8\pm9\}", "1,2," * 900, r"\begin{pmatrix}" + "1&" * 900 + r"1\end{pmatrix}",
    "5 (9^{9^{9^{9}}})", "x^{10^{10}}+1", "(x+1)^{1000}(y+1)^{1000}", "i^{10^{12}}", "0^{-1}", "0^0", r"\log_1 5", r"\tan 90^\circ",
]  # fmt: skip
FILLERS = [
    "1", "a", " ", "$", "\\", "(", "{", "[", "|", "-", "!", "^", "_", "1+", "x^", r"\(", r"\[", r"\boxed{", r"\frac{", r"\text{", "1,", "1 ",
    "#### ", "answer is ", "The answer is: ", "so ", "<answer>", "<think>", "</think>", "**", "\n", ".", "1e", r"\left(", "&", r"\\", "¾", "²", "$$", "=", "°", "1,111", "①", "[1 ", "(a) ", "C_5^2",
]  # fmt: skip


def injections(canary: Path) -> list[str]:
    touch = f"touch {canary}"
    return [
        f"__import__('os').system('{touch}')",
        f"__import__(chr(111)+chr(115)).system('{touch}')",
        f"[c for c in ().__class__.__base__.__subclasses__() if c.__name__=='Popen'][0]('{touch}',shell=True)",
        rf"\frac{{1}}{{__import__('os').system('{touch}')}}",
        f'eval(\'open("{canary}","w")\')',
        f"exec(\"open('{canary}','w')\")",
        f"open('{canary}', 'w').write('x')",
        f"(lambda: __import__('os').system('{touch}'))()",
        f"{{1: __import__('os').system('{touch}')}}",
        f"\\boxed{{__import__('os').system('{touch}')}}",
        f"The answer is: __import__('os').system('{touch}').\n",
        f"A: 5; import os; os.system('{touch}')",
        f"sqrt(__import__('os').system('{touch}'))",
        f'f\'{{__import__("os").system("{touch}")}}\'',
        "globals().clear()",
        "__import__('os')._exit(0)",
    ]


def _limited(work: Callable[[], object], pipe: object) -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_LIMIT_S, CPU_LIMIT_S))
    pipe.send(work())  # type: ignore[attr-defined]


def in_a_limited_process(work: Callable[[], object]) -> object:
    """Runs `work` in a fork that the kernel ends; the test fails instead of hanging."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_limited, args=(work, sender))
    process.start()
    sender.close()
    try:
        return receiver.recv()
    except EOFError:
        pytest.fail(f"died or used more than {CPU_LIMIT_S} s of CPU")
    finally:
        process.join()


def _judged(profile: str, text: str, reference: str) -> str:
    task = Task(instruction="", reference=reference)
    context = Context(run=lambda job: Verdict(status="error"), policy=domain.policy)
    how = domain.profiles[profile]
    candidate = (how.extract or domain.extract)(task, text)
    found = (how.verify or domain.verify)(task, text if candidate is None else candidate, context)
    return found.status


def test_no_bomb_equals_a_number_or_takes_long() -> None:
    def work() -> list[tuple[str, str]]:
        return [
            (bomb[:40], reference)
            for bomb in BOMBS
            for reference in ("5", r"\frac{1}{7}")
            if check(bomb, reference).status == "pass"
        ]

    assert in_a_limited_process(work) == []


def test_a_bomb_equals_itself_as_text() -> None:
    assert check("10^{10^{10}}", "10^{10^{10}}").status == "pass"
    assert check("10^{10^{10}}", "10^{10^{11}}").status == "fail"


@pytest.mark.parametrize("profile", sorted(domain.profiles))
def test_an_answer_is_never_executed_in_any_profile(profile: str, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    before = os.getpid()
    for text in injections(canary):
        assert _judged(profile, text, "5") in ("pass", "fail")
        if profile == "sound":
            assert check(text, "7919").status == "fail"  # no number of the canary's path
    assert not canary.exists()
    assert os.getpid() == before


@pytest.mark.parametrize("profile", sorted(domain.profiles))
def test_bombs_and_long_answers_end_in_every_profile(profile: str) -> None:
    def work() -> int:
        texts = [*BOMBS, *((filler * 15_000)[:15_000] for filler in FILLERS[::3])]
        return sum(_judged(profile, text, "5") in ("pass", "fail") for text in texts)

    assert in_a_limited_process(work) == len(BOMBS) + len(FILLERS[::3])


def _without_verdict(size: int, fillers: list[str]) -> list[str]:
    texts = {filler: (filler * (size // len(filler) + 1))[:size] for filler in fillers}
    return [
        filler
        for filler, text in texts.items()
        for reference in ("5", text)
        if check(text, reference).status not in ("pass", "fail")
    ]


def test_forty_thousand_characters_of_anything_get_a_verdict() -> None:
    assert in_a_limited_process(lambda: _without_verdict(38_000, FILLERS)) == []


@pytest.mark.slow
def test_a_million_characters_of_anything_get_a_verdict() -> None:
    for filler in FILLERS:
        assert in_a_limited_process(lambda filler=filler: _without_verdict(1_000_000, [filler])) == []


def _lines_executed(text: str) -> int:
    """How many lines of Python a check runs: a measure of its work that does not depend on the machine."""
    count = 0

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    sys.settrace(trace)
    try:
        check(text, "5")
    finally:
        sys.settrace(None)
    return count


def test_the_work_for_a_text_grows_linearly_with_its_length() -> None:
    growth = {}
    for place, filler in enumerate(FILLERS):
        times = (850 + place) // len(filler)  # parsed as a whole, and no text is cached from another filler
        half, whole = _lines_executed(filler * times), _lines_executed(filler * 2 * times)
        growth[filler] = whole / (half + 1_000)
    assert {filler: ratio for filler, ratio in growth.items() if ratio > 2.3} == {}
