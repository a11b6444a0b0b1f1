"""No secret that we were given is written or printed: canaries at every place of a recipe and of the environment go through
every command that touches a run, and are then looked for in every file, database and line of output, in every encoding."""

from __future__ import annotations

import base64
import gzip
import html
import json
import os
import sqlite3
import stat
import subprocess
import sys
import urllib.parse
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from echoing_server import EchoServer, echoing

from evoltune.cli import main
from evoltune.text.credentials import forget_secrets

NOT_KEPT = {
    "variable": "cnry-variable-5Df1aQ", "header_variable": "cnry-headvar-7Kq2/x+Z=", "file": "cnry-file-1uUe3",
    "user": "cnry-user-Pp0", "password": "cnry-pass-0'%\"\\w", "query": "cnry-query-9zZ~", "url_query": "cnry-urlq-44Xx",
    "header": "cnry-header-Ff31", "body": "cnry-body-Ab55", "nested": "cnry-nested-Cd77", "env": "cnry-env-Lm09",
    "token": "cnry-token-Hh88-0123456789", "aws": "cnry/aws+Ss21=", "hub": "hf_cnryHubTokenQw12", "eval": "cnry-eval-Rr66",
    "signature": "cnry-sas-Tt%2B18", "proxy": "cnry-proxy-Yy02", "short": "cK3y!", "unused": "cnry-unused-Oo91",
}  # fmt: skip
DOMAIN = """
from evoltune import Answer, Benchmark, Domain, Operator, Profile, Record, Task, Verdict

THINGS = ["river", "castle", "violin", "engine", "forest", "planet", "bridge", "garden"]


def verify(task, candidate, context):
    return Verdict(status="pass", reason="it is there")


def extract(task, response):
    return response


def seeds():
    for i in range(6):
        text = f"Describe how the {THINGS[i % 8]} of town {i} was built, in plain words, for {THINGS[(i * 3 + 1) % 8]} lovers."
        yield Record(domain="canary", task=Task(instruction=text, name=str(i)), answers=(Answer(text=f"In {i}.", model="seed"),))


def load(path):
    for i in range(2):
        yield Task(instruction=f"What is the name of lighthouse number {i} on the northern coast?", name=str(i), reference="x")


domain = Domain(
    name="canary", seeds=seeds, verify=verify, extract=extract, answer_prompt="Answer:\\n{instruction}",
    operators=(Operator(name="harder", template="Rewrite, harder:\\n{instruction}"),),
    benchmarks={"houses": Benchmark(load=load, sha256="", licence="MIT", profile="sound", file="houses.jsonl")},
    profiles={"sound": Profile(version="1", prompt=None, decoding={}, extract=extract, verify=verify)},
)
"""


def encodings(secret: str) -> Iterator[str]:
    """How a secret may stand in a file: as it is, and as URLs, JSON, HTML and headers write it."""
    plain = urllib.parse.unquote(secret)
    for form in dict.fromkeys((secret, plain)):
        yield from (form, urllib.parse.quote(form, safe=""), urllib.parse.quote_plus(form), html.escape(form))
        yield json.dumps(form)[1:-1]
    yield base64.b64encode(f"{urllib.parse.unquote(NOT_KEPT['user'])}:{plain}".encode()).decode().rstrip("=")


@pytest.fixture
def canaries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, EchoServer]]:
    """A folder with a recipe that has a secret wherever one can stand, and the server that it names."""
    c = NOT_KEPT
    package = tmp_path / "canary"
    package.mkdir()
    (package / "__init__.py").write_text(DOMAIN)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "houses.jsonl").write_text("{}\n")
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "config.json").write_text('{"model_type": "llama"}')
    (tmp_path / "base" / "model.safetensors").write_bytes(b"")
    (tmp_path / "key").write_text(c["file"] + "\n")
    (tmp_path / "key").chmod(stat.S_IRUSR)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "sbatch").write_text('#!/bin/sh\n[ "$1" = --wait ] && exit 1\necho 17\n')
    (tmp_path / "bin" / "sbatch").chmod(0o755)
    for name, value in {
        "PATH": f"{tmp_path}/bin:{os.environ['PATH']}", "MY_ENGINE_KEY": c["variable"], "X_PART": c["header_variable"], "EVOLTUNE_SERVICE_TOKEN": c["token"], "HF_TOKEN": c["hub"],
        "AWS_SECRET_ACCESS_KEY": c["aws"], "OTHER_API_KEY": c["unused"], "EVOLTUNE_CACHE": str(tmp_path / "cache"),
        "HTTP_PROXY": f"http://ada:{c['proxy']}@127.0.0.1:9", "COLUMNS": "400", "HOME": str(tmp_path),
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    with echoing() as server:
        login = f"{c['user']}:{urllib.parse.quote(c['password'], safe='')}"
        endpoint = {
            "url": f"http://{login}@{server.address}/v1?api_key={c['url_query']}&sv=2024&sig={c['signature']}",
            "api_key_env": "MY_ENGINE_KEY", "api_key_header": "X-Key", "query": {"key": c["query"]},
            "headers": {"X-Corp": c["header"], "X-Part": "Bearer ${X_PART}", "X-Title": "no secret"},
            "extra_body": {"user_api_key": c["body"]},
        }  # fmt: skip
        from_file = {"url": f"http://{server.address}/v1", "api_key_file": str(tmp_path / "key")}
        sources = [{"type": "search", "parameters": {"authentication": {"type": "api_key", "key": c["nested"]}}}]
        recipe = {
            "domain": str(package), "name": "canary", "evolve": {"rounds": 1, "equal_check": False},
            "teacher": {
                "kind": "http", "model": "m", "endpoints": [endpoint, from_file], "concurrency": 2,
                "extra_body": {"top_k": 5, "data_sources": sources, "password": c["short"]},
            },
            "verify": {"workers": 1, "sandbox": {"require": "L0"}}, "curate": {"validation": 0.2, "size": 6},
            "train": {"max_steps": 2, "max_length": 512},
            "eval": {"suites": ["houses"], "engine": "http", "baseline": False, "data": str(tmp_path / "data"), "profile": "sound",
                     "endpoint": f"http://{c['user']}:{c['eval']}@{server.address}/v1"},
            "compute": {"env": {"WANDB_API_KEY": c["env"]}, "slurm": {"partition": "a"}},
        }  # fmt: skip
        (tmp_path / "recipe.yaml").write_text(json.dumps(recipe))
        yield tmp_path, server


def in_a_process(folder: Path, words: Sequence[str], capfd: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Exit code and output of a command."""
    done = subprocess.run(
        [sys.executable, "-m", "evoltune", *words], cwd=folder, capture_output=True, text=True, timeout=300
    )
    return done.returncode, done.stdout + done.stderr


def here(folder: Path, words: Sequence[str], capfd: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """The same without a new process: it has to learn the secrets itself."""
    forget_secrets()
    code = main(words)
    return code, "".join(capfd.readouterr())


def texts_of(folder: Path) -> Iterator[tuple[str, str]]:
    """(where, content) of every file, with what is packed inside."""
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        raw = path.read_bytes()
        yield str(path.relative_to(folder)), raw.decode("utf-8", "replace")
        if path.suffix == ".gz":
            yield f"{path.name} unpacked", gzip.decompress(raw).decode("utf-8", "replace")
        if path.suffix == ".sqlite":
            db = sqlite3.connect(path)
            for (table,) in db.execute("SELECT name FROM sqlite_master WHERE type='table'").fetchall():
                for row in db.execute(f"SELECT * FROM {table}"):
                    yield f"{path.name} {table}", " ".join(map(str, row))
        if path.suffix == ".parquet":
            import pyarrow.parquet as pq

            yield f"{path.name} rows", json.dumps(pq.read_table(path).to_pylist(), default=str)


def leaks(folder: Path, given: Mapping[str, str] = NOT_KEPT) -> set[tuple[str, str]]:
    """(canary, where) of each that is found. The recipe as it was given and the key's file do not count."""
    found = set()
    for where, text in texts_of(folder):
        if where in ("recipe.yaml", "key", "study.yaml"):
            continue
        for name, secret in given.items():
            if any(form in text for form in encodings(secret)):
                found.add((name, where))
    return found


SENT = ("variable", "header_variable", "file", "query", "url_query", "header", "body", "nested", "short")


def commands(folder: Path, server: EchoServer) -> Iterator[tuple[str, ...]]:
    """Every command that touches a run or is given an address, those that fail too."""
    c, recipe, run = NOT_KEPT, "recipe.yaml", "runs/canary"
    login = f"{c['user']}:{urllib.parse.quote(c['password'], safe='')}"
    remote = f"http://{login}@{server.address}/rows.jsonl?sig={c['signature']}"
    yield ("run", recipe, "--dry-run")
    yield ("run", recipe, "--print-launch")
    yield ("recipes", "show", recipe)
    yield ("recipes", "show", recipe, "--json")
    yield ("recipes", "check", recipe)
    yield ("plan", recipe, "--json")
    yield ("batch", "export", recipe, "runs/batch", "requests.jsonl")
    yield ("batch", "export", recipe, "runs/batch", "requests-gemini.jsonl", "--form", "gemini")
    yield ("run", recipe, "--stages", "evolve,verify,build,eval,report", "--out", run)
    yield ("evolve", recipe, "--out", run, "evolve.rounds=2")
    yield ("verify", recipe, "--out", run, "evolve.rounds=2")
    yield ("run", f"{run}/recipe.yaml", "--stages", "evolve,verify,build,report", "--out", run)
    yield ("run", f"{run}/recipe.yaml", "--stages", "evolve", "--out", "runs/again")
    yield ("run", recipe, "--launcher", "slurm", "--out", "runs/slurm")
    plain = f"teacher.endpoints=[{{url: 'http://{server.address}/v1', api_key_env: MY_ENGINE_KEY}}]"
    yield ("run", recipe, "--launcher", "slurm", "--out", "runs/slurm", plain, "teacher.extra_body={}", "eval.endpoint=null",
           "eval.engine=vllm")  # fmt: skip
    yield ("train", recipe, "--out", run, "--launcher", "slurm", "--print-launch")
    yield ("train", recipe, "--out", "runs/trained", "--launcher", "slurm", "--dataset", f"{run}/dataset",
           f"train.model_name_or_path={folder}/base")  # fmt: skip
    yield ("eval", recipe, "--out", run, "--json")
    endpoint = f"http://{c['user']}:{c['eval']}@{server.address}/v1?api_key={c['url_query']}"
    yield ("eval", "--model", "m", "--engine", "http", "--endpoint", endpoint, "--suite", "canary:data/houses.jsonl")
    yield ("runs", "watch", run, "--once")
    yield ("runs", "watch", run, "--json")
    yield ("runs", "publish", run, f"file://{folder}/published")
    yield ("runs", "fetch", f"file://{folder}/published", "fetched")
    yield ("runs", "fetch", f"http://{login}@{server.address}/there?token={c['token']}", "not-fetched")
    yield ("runs", "publish", run, f"s3://{login}@bucket/there")
    yield ("report", run)
    yield ("compare", run, run)
    yield ("compare", run, "fetched", "--page")
    yield ("cassette", "export", run, "calls.jsonl.gz")
    yield ("cassette", "replay", "calls.jsonl.gz", recipe, "runs/replayed")
    yield ("data", "export", run, "--out", "rows.jsonl")
    yield ("data", "decontaminate", run, "--against", "canary/houses", "--data", "data")
    yield ("data", "eliminate", remote)
    yield ("verify", "rows.jsonl", "--domain", "./canary", "--out", "verdicts.jsonl")
    yield ("evolve", recipe, "--out", "runs/seeds", f"seeds.path={remote}")
    yield (
        "evolve",
        recipe,
        "--out",
        "runs/dead",
        f"teacher.endpoints=[{{url: http://{login}@127.0.0.1:9/v1}}]",
        "teacher.max_retries=0",
    )
    yield ("evolve", recipe, "--out", "runs/ftp", f"teacher.endpoints=[{{url: ftp://{login}@{server.address}/v1}}]")
    yield ("evolve", recipe, f"teacher.api_key={c['variable']}", f"teacher.endpoints.0.url=http://{login}@x")
    yield ("evolve", recipe, "--out", "runs/typed", f"teacher.endpoints=[{{url: http://h/v1, headers: {c['header']}}}]")
    yield ("evolve", recipe, "--out", f"http://{login}@{server.address}/out")
    yield ("rl", recipe, "--trainer", "verl", "--rows", "rows.jsonl", "--model", "m", "--out", "runs/rl", "--print-launch",
           "--service", f"http://{login}@{server.address}")  # fmt: skip
    yield ("teacher", recipe, "--print-launch")
    yield ("doctor", run)
    yield ("doctor", run, "--repair")
    yield ("judge", "study.yaml", "--out", "runs/judged")
    yield ("rescore", f"{run}/eval/after/houses.jsonl", "--suite", "canary:data/houses.jsonl", "--out", "runs/rescored")


Command = Callable[[Path, Sequence[str], pytest.CaptureFixture[str]], tuple[int, str]]


def check(
    canaries: tuple[Path, EchoServer], command: Command, capfd: pytest.CaptureFixture[str], *more: Sequence[str]
) -> str:
    """Goes through all commands; what they printed."""
    folder, server = canaries
    study = {"suite": "canary:data/houses.jsonl", "systems": [
        {"name": "a", "endpoint": f"http://{server.address}/v1?api_key={NOT_KEPT['url_query']}", "model": "m"},
        {"name": "b", "answers": "runs/canary/eval/after/houses.jsonl"}],
        "judge": json.loads((folder / "recipe.yaml").read_text())["teacher"]}  # fmt: skip
    (folder / "study.yaml").write_text(json.dumps(study))
    printed = []
    for words in (*commands(folder, server), *more):
        server.status = 401 if "runs/again" in words else 0
        code, said = command(folder, words, capfd)
        printed.append(f"$ evoltune {' '.join(words[:2])}\n(exit {code})\n{said}")
    (folder / "printed.txt").write_text("\n".join(printed))
    received = "".join(f"{path} {headers} {body}" for path, headers, body in server.seen)
    assert {name for name in SENT if not any(form in received for form in encodings(NOT_KEPT[name]))} == set()
    assert leaks(folder) == set()
    return "\n".join(printed)


def test_no_secret_is_written_or_printed_by_any_command(canaries, capfd, monkeypatch):
    monkeypatch.chdir(canaries[0])
    said = check(canaries, here, capfd)
    assert said.count("(exit 0)") > 25
    monkeypatch.setenv("EVOLTUNE_DEBUG", "1")
    code, said = here(canaries[0], ("runs", "fetch", f"http://ada:{NOT_KEPT['password']}@[::1/there", "x"), capfd)
    assert code and not any(form in said for form in encodings(NOT_KEPT["password"]))


@pytest.mark.slow
def test_nor_by_one_that_trains_each_in_a_process_of_its_own(canaries, capfd, tiny_base):
    train = (
        "train",
        "recipe.yaml",
        "--out",
        "runs/model",
        "--dataset",
        "runs/canary/dataset",
        f"train.model_name_or_path={tiny_base}",
    )
    said = check(canaries, in_a_process, capfd, train, ("run", "recipe.yaml", "--out", "runs/whole", train[-1]))
    assert (canaries[0] / "runs/model/checkpoint/manifest.json").is_file(), said[-3000:]
