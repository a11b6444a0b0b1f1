"""Batch files answered by one's own engines: which requests are run, what is written, and that a killed run continues."""

import importlib.util
import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evoltune.errors import DataError, MissingExtraError
from evoltune.teacher.batch_files import read_results, write_requests
from evoltune.teacher.protocol import Request, request_key
from evoltune.teacher.ray_batch import answered_keys, append_results, from_engine, open_samples, run_batch, to_engine


def ask(text, **more):
    return Request(purpose="answer", messages=(("user", text),), model="m", seed=7, max_tokens=5, **more)


def engine(row):
    """The columns that an engine adds to a row."""
    text = f"{row['messages'][0]['content']}/{row['sampling_params']['seed']}"
    return {**row, "generated_text": text, "num_input_tokens": 3, "num_generated_tokens": len(text.split())}


def run(requests, results):
    return append_results(
        (from_engine(engine(to_engine(row))) for row in open_samples(requests, answered_keys(results))), results
    )


def test_each_request_gets_its_samples_in_order_with_seeds_of_their_own(tmp_path):
    requests_file, results_file = tmp_path / "requests.jsonl", tmp_path / "results.jsonl"
    requests = [ask("one"), ask("two", n=3), ask("five words that are cut")]
    write_requests(requests, requests_file)
    assert run(requests_file, results_file) == (3, 0)
    found = dict(read_results(results_file))
    assert found[request_key(requests[1])].texts == ("two/7", "two/8", "two/9")
    assert found[request_key(requests[1])].usage.completion_tokens == 3
    assert found[request_key(requests[2])].truncated == (0,) and not found[request_key(requests[0])].truncated
    assert run(requests_file, results_file) == (0, 0)  # nothing is asked twice


@given(cut=st.integers(0, 2000), order=st.permutations(range(6)))
def test_a_killed_run_goes_on_and_answers_each_request_once(tmp_path_factory, cut, order):
    folder = tmp_path_factory.mktemp("batch")
    requests_file, results_file = folder / "requests.jsonl", folder / "results.jsonl"
    requests = [ask(f"q{i}", n=1 + i % 3) for i in range(6)]
    write_requests([requests[i] for i in order], requests_file)
    run(requests_file, results_file)
    whole = {json.loads(line)["custom_id"]: line for line in results_file.read_text().splitlines()}
    results_file.write_bytes(results_file.read_bytes()[:cut])  # the kill
    run(requests_file, results_file)
    again = [json.loads(line)["custom_id"] for line in results_file.read_text().splitlines()]
    assert len(again) == len(set(again))
    assert {json.loads(line)["custom_id"]: line for line in results_file.read_text().splitlines()} == whole


def test_a_failed_sample_leaves_its_request_open(tmp_path):
    requests_file, results_file = tmp_path / "requests.jsonl", tmp_path / "results.jsonl"
    write_requests([ask("a", n=2), ask("b")], requests_file)
    rows = [from_engine(engine(to_engine(row))) for row in open_samples(requests_file, set())]
    rows[1] = {"id": rows[1]["id"], "__inference_error__": "out of memory"}
    assert append_results(rows, results_file) == (1, 1)
    assert len(list(open_samples(requests_file, answered_keys(results_file)))) == 2


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "not JSON"),
        ("[]", "a list, must be an object"),
        ('{"custom_id": 1}', "it has no custom_id"),
        ('{"custom_id": "x", "body": {"messages": 1}}', "body.messages must be a list"),
    ],
)
def test_what_is_no_batch_file_is_named_with_its_line(tmp_path, line, reason):
    (tmp_path / "requests.jsonl").write_text("\n" + line + "\n")
    with pytest.raises(DataError, match=rf"requests.jsonl:2: .*{reason}"):
        list(open_samples(tmp_path / "requests.jsonl", set()))


@pytest.mark.skipif(importlib.util.find_spec("vllm") is not None, reason="vLLM is installed")
def test_without_vllm_it_says_what_to_install(tmp_path):
    with pytest.raises(MissingExtraError, match="vllm"):
        run_batch("m", tmp_path / "requests.jsonl", tmp_path / "results.jsonl")
    command = [sys.executable, "-m", "evoltune", "batch", "run", "smoke/math", "a", "b", "--replicas", "0"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2 and "--replicas: '0': must be" in done.stderr
