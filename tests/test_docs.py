"""Documentation that runs: every ```bash and ```python block of README.md and docs/ is executed, page by page.

A block whose fence says `gpu`, `key`, `cluster`, `long` or `sketch` (```bash gpu) needs what a test machine has not; it is only
checked for syntax. Blocks of one page run in order in one fresh folder.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from itertools import groupby
from pathlib import Path

import pytest

from evoltune.recipe import load_recipe
from evoltune.rehearse.rehearsal import free_port
from evoltune.rows.readers import read_rows

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(bash|python)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NOT_HERE = {"gpu", "key", "cluster", "long", "sketch"}


def blocks(page: Path) -> list[tuple[str, set[str], str]]:
    return [(kind, set(more.split()), body) for kind, more, body in FENCE.findall(page.read_text(encoding="utf-8"))]


ALONE = "import json, sys\nfor body in json.loads(sys.argv[1]):\n    exec(compile(body, 'block', 'exec'), {'__name__': '__main__'})"
"""Runs blocks of Python one after the other, each with names of its own."""


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_every_block_of_the_page_runs(page: Path, tmp_path: Path):
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    found = blocks(page)
    for kind, marks, body in found:
        assert not marks - NOT_HERE, f"{page.name}: unknown marks {marks - NOT_HERE}"
        if marks and kind == "python":
            compile(body, "block", "exec")
    commands = [(kind, bool(marks), body) for kind, marks, body in found if kind == "bash" or not marks]
    for (kind, is_sketch), bodies in groupby(commands, lambda command: command[:2]):
        texts = [body for _, _, body in bodies]
        for text in [json.dumps(texts)] if kind == "python" else texts:
            bash = ["bash", "-n", "-c"] if is_sketch else ["bash", "-euo", "pipefail", "-c"]
            command = [sys.executable, "-c", ALONE, text] if kind == "python" else [*bash, text]
            run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600)
            assert run.returncode == 0, f"{page.name}:\n{text}\n{run.stdout[-1500:]}\n{run.stderr[-1500:]}"


@pytest.mark.parametrize("is_whole", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_the_worked_example_of_ones_own_rows_runs_from_the_file_to_the_server(
    tiny_base: Path, tmp_path: Path, is_whole: bool
):
    """Only the base and the port are others than on the page; the short form ends with a dry run of the training."""
    page = (ROOT / "docs" / "train.md").read_text(encoding="utf-8")
    example = page[page.index("## Your own rows") :].partition("\n## ")[0]
    port = free_port()
    commands = "\n".join(body for _, _, body in FENCE.findall(example)).replace("8000", str(port))
    base = "HuggingFaceTB/SmolLM2-135M-Instruct"
    commands = commands.replace("sed -i '", f"sed -i 's|{base}|{tiny_base}|; ")
    if not is_whole:
        commands = commands.partition("evoltune train mine/shop.yaml")[0] + "evoltune train mine/shop.yaml --dry-run"
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-1500:] + done.stderr[-3000:]
    assert [row["instruction"][:5] for row in read_rows(tmp_path / "mine" / "clean.jsonl")] == ["A pen", "Ada p"]
    if not is_whole:
        assert f"train: lora of {tiny_base}" in done.stdout
        return
    assert "3 steps on 2 rows" in done.stderr and '"object": "chat.completion"' in done.stdout
    kept = load_recipe(tmp_path / "runs" / "shop" / "recipe.yaml")
    assert kept.train.dataset and Path(kept.train.dataset).samefile(tmp_path / "mine" / "clean.jsonl")


def test_the_pages_link_only_to_files_that_exist():
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_fences_are_closed_and_say_their_language():
    for page in PAGES:
        fences = re.findall(r"^```.*$", page.read_text(encoding="utf-8"), re.MULTILINE)
        assert len(fences) % 2 == 0, page
        assert all(fence != "```" for fence in fences[::2]), f"{page.name}: a fence without a language"


def test_the_messages_on_the_troubleshooting_page_are_messages_of_the_code():
    page = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1].strip() for line in page.splitlines() if line.startswith("|")]
    quoted = [cell.strip("`") for cell in rows if cell.startswith("`") and cell.endswith("`")]
    assert len(quoted) > 20
    source = "\n".join(p.read_text(encoding="utf-8") for p in sorted((ROOT / "shared").rglob("*.py")))
    source = re.sub(r'"\s*\n\s*f?"', "", source)  # a message over several lines is one text
    lost = [message for message in quoted if message not in source]
    assert not lost, f"troubleshooting.md quotes what the code does not say: {lost}"


def generator(name: str):
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_reference_pages_show_every_command_option_and_public_name():
    """The frozen surface: a change of the command line or of a public name must touch the pages that list it."""
    reference = generator("build_reference")
    advice = "differs from the code: run `python docs/build_reference.py` and look at what changed"
    assert (ROOT / "docs" / "cli.md").read_text(encoding="utf-8") == reference.cli_page(), f"docs/cli.md {advice}"
    assert (ROOT / "docs" / "api.md").read_text(encoding="utf-8") == reference.api_page(), f"docs/api.md {advice}"


def test_the_picture_of_the_peers_shows_the_table():
    pictures = generator("build_pictures")
    drawn = (ROOT / "docs" / "pictures" / "peers.svg").read_text(encoding="utf-8")
    assert len(pictures.peers()) == 5
    assert all(row["peer"] in drawn for row in pictures.peers())
    assert drawn == pictures.picture() + "\n", "run `python docs/build_pictures.py`"
