"""Missing samples are generated and nothing else; a killed generation ends with the same texts."""

from __future__ import annotations

import json
import shutil

import pytest

from evoltune.generate import processes
from evoltune.generate.completions import batches, finished_samples, generate, generate_later_turns
from evoltune.generate.job import GenerationError, GenerationSettings, SampleRequest, find_model
from evoltune.generate.processes import models_kept, processes_kept

PROMPTS = ["Add 2 and 3.", "Name a prime number above seven, please.", "Hi", "Sort [3, 1, 2] and say why."]


@pytest.fixture(autouse=True, scope="module")
def one_process():
    """Tests that ask for no fresh process share one: starting it takes longer than all that they generate."""
    with processes_kept():
        yield


def wanted(n=6, samples=1):
    return [
        SampleRequest(suite="s", problem=f"p{i}", sample=k, prompt=PROMPTS[i % 4] + "!" * i)
        for i in range(n)
        for k in range(samples)
    ]


def settings(weights, **more):
    return GenerationSettings(model="tiny", weights=weights.fingerprint, template="chat", max_new_tokens=12, **more)


def test_a_killed_generation_goes_on_and_the_file_holds_the_very_same_texts(tiny_base, tmp_path):
    weights = find_model(str(tiny_base))
    whole, broken = tmp_path / "whole.jsonl", tmp_path / "broken.jsonl"
    with models_kept():
        proof = generate(wanted(), settings(weights), weights, whole, batch_size=2)
        assert proof["template"] == "chat" and proof["prompt_tokens"] > 0
        lines = whole.read_bytes().splitlines(keepends=True)
        broken.write_bytes(b"".join(lines[:3]) + lines[3][:20])  # one batch and a half, and a torn line
        generate(wanted(), settings(weights), weights, broken, batch_size=2)
    assert sorted(broken.read_bytes().splitlines()) == sorted(whole.read_bytes().splitlines())


def test_nothing_is_generated_twice_and_other_settings_stand_beside(tiny_base, tmp_path):
    weights, out = find_model(str(tiny_base)), tmp_path / "out.jsonl"
    other = settings(weights, temperature=1.0, n=2)
    with models_kept():
        generate(wanted(2), settings(weights), weights, out)
        assert generate(wanted(2), settings(weights), weights, out) == {}
        generate(wanted(2, samples=2), other, weights, out)
    assert len(finished_samples(out, settings(weights).key)) == 2 and len(finished_samples(out, other.key)) == 4


def test_a_kept_model_serves_other_settings_with_the_texts_of_a_fresh_one(tiny_base, tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "_empty", None)
    weights = find_model(str(tiny_base))
    other = settings(weights, temperature=0.7, stops=("e",))
    with models_kept():
        generate(wanted(2), settings(weights), weights, tmp_path / "one.jsonl")
        (first,) = [process for kept in (processes._idle or {}).values() for process in kept]
        proof = generate(wanted(2), other, weights, tmp_path / "two.jsonl")
        (second,) = [process for kept in (processes._idle or {}).values() for process in kept]
        assert second is first and proof["template"] == "chat"
    assert first._process.poll() is not None  # the block's end ends it
    monkeypatch.undo()
    generate(wanted(2), other, weights, tmp_path / "fresh.jsonl")
    assert finished_samples(tmp_path / "two.jsonl", other.key) == finished_samples(tmp_path / "fresh.jsonl", other.key)


def test_a_process_that_dropped_its_model_serves_another_with_the_texts_of_a_fresh_one(tiny_base, tmp_path):
    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(tiny_base, tmp_path / "other")
    doubled = {name: 2 * tensor for name, tensor in load_file(folder / "model.safetensors").items()}
    save_file(doubled, folder / "model.safetensors", metadata={"format": "pt"})
    one, other = find_model(str(tiny_base)), find_model(str(folder))
    texts, pids = [], set()
    with processes_kept() as end_idle:
        for weights in (one, other):
            out = tmp_path / f"{len(texts)}.jsonl"
            generate(wanted(2), settings(weights), weights, out)
            texts.append([row["text"] for row in finished_samples(out, settings(weights).key).values()])
            (process,) = processes._empty
            pids.add(process._process.pid)
        process.kill()  # as the kernel does for its memory
        process._process.wait()
        generate(wanted(2), settings(other), other, tmp_path / "fresh.jsonl")
        (another,) = processes._empty
        end_idle()
        assert len(pids) == 1 and another is not process and another._process.poll() is not None
    fresh = [row["text"] for row in finished_samples(tmp_path / "fresh.jsonl", settings(other).key).values()]
    assert texts[0] != texts[1] == fresh


def test_later_turns_follow_the_models_own_answers(tiny_base, tmp_path):
    weights, out = find_model(str(tiny_base)), tmp_path / "out.jsonl"
    chosen, requests = settings(weights), wanted(3)
    later = {"p0": ["And twice?", "And thrice?"], "p2": ["Why?"]}
    with models_kept():
        generate(requests, chosen, weights, out)
        generate_later_turns(requests, later, chosen, weights, out)
        texts = out.read_bytes()
        generate_later_turns(requests, later, chosen, weights, out)
        assert out.read_bytes() == texts  # nothing is generated twice
        found = finished_samples(out, chosen.key)
        assert {name for name, _ in found} == {"p0", "p1", "p2", "p0#2", "p0#3", "p2#2"}
        dialogue = SampleRequest(
            suite="s", problem="p0#2", sample=0, prompt="And twice?",
            history=(("user", requests[0].prompt), ("assistant", found["p0", 0]["text"])),
        )  # fmt: skip
        generate([dialogue], chosen, weights, tmp_path / "alone.jsonl")
    alone = finished_samples(tmp_path / "alone.jsonl", chosen.key)
    assert alone["p0#2", 0]["text"] == found["p0#2", 0]["text"]


def test_settings_that_decide_a_text_change_the_key_and_the_number_of_samples_does_not():
    plain = GenerationSettings(model="m", weights="w", template="chat")
    assert plain.key == GenerationSettings(model="elsewhere/m", weights="w", template="chat", n=10).key
    changed = [{"temperature": 0.5}, {"template": "alpaca"}, {"stops": ("x",)}, {"seed": 1}, {"system": "s"}]
    keys = {GenerationSettings(**{"model": "m", "weights": "w", "template": "chat", **c}).key for c in changed}
    assert len(keys) == len(changed) and plain.key not in keys


def test_the_number_of_batches_is_a_multiple_of_the_generators():
    requests = [SampleRequest(suite="s", problem=str(i), sample=0, prompt="p" * i) for i in range(60)]
    for size in (7, 16, 60):
        found = batches(requests, size, 3)
        assert len(found) % 3 == 0 and max(map(len, found)) <= size


def test_batches_hold_every_sample_once_whatever_the_order_they_came_in():
    one, two = batches(wanted(23), 5, 2), batches(list(reversed(wanted(23))), 5, 2)
    assert one == two and sum(map(len, one)) == 23 and max(map(len, one)) <= 5


def test_a_model_that_cannot_be_loaded_is_one_line_and_exit_code_1(tiny_base, tmp_path):
    broken = tmp_path / "model"
    broken.mkdir()
    (broken / "config.json").write_text(json.dumps({"model_type": "nonsense"}))
    weights = find_model(str(broken))
    with pytest.raises(GenerationError, match="generator ended") as caught:
        generate(wanted(1), settings(weights), weights, tmp_path / "o.jsonl")
    assert caught.value.exit_code == 1 and "\n" not in str(caught.value)


def test_the_fingerprint_names_the_weights_and_not_the_folder(tiny_base, tmp_path):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(tiny_base, copy)
    assert find_model(str(copy)).fingerprint == find_model(str(tiny_base)).fingerprint
    with (copy / "model.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x7f")
    assert find_model(str(copy)).fingerprint != find_model(str(tiny_base)).fingerprint
