"""Provider batch files end in the data that direct calls give."""

import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import msgspec
import orjson
import pytest
import towns
from openai_server import text_of

from evoltune import recipe as recipes
from evoltune.domain import Operator
from evoltune.errors import DataError
from evoltune.evolve.loop import draws_step, evolve
from evoltune.evolve.open_calls import export_calls, import_results, open_calls
from evoltune.run.store import Store
from evoltune.teacher.batch_files import write_requests
from evoltune.teacher.journal import Journalled
from evoltune.teacher.protocol import Reply

TOWNS = towns.towns(5, operators=(Operator(name="harder", template="Harder:\n{instruction}"),))
RECIPE = recipes.Recipe(domain="towns", evolve=recipes.Evolve(rounds=2, answers=2))


class Direct:
    """Answers as the fake server does."""

    async def complete(self, request):
        body = {"messages": [{"content": request.messages[-1][1]}]}
        texts = (text_of({**body, "seed": request.seed + i}) for i in range(request.n))
        return Reply(texts=tuple(texts))


def rows(store, step):
    return [asdict(r) for r in store.kept(step)]


def direct(folder):
    with Store.open(folder) as store:
        return rows(store, evolve(RECIPE, TOWNS, store, teacher=Journalled(Direct(), store)))


def answer_batch(path, results, lines=None):
    """What the provider would give back, in another order."""
    out = []
    for line in path.read_text().splitlines() if lines is None else lines:
        asked = json.loads(line)
        assert asked["method"] == "POST" and asked["url"] == "/v1/chat/completions"
        body = asked["body"]
        texts = [text_of({**body, "seed": body["seed"] + i}) for i in range(body.get("n", 1))]
        choices = [{"index": i, "message": {"content": t}, "finish_reason": "stop"} for i, t in enumerate(texts)]
        reply = {"choices": choices, "usage": {"prompt_tokens": 10, "completion_tokens": 5}}
        out.append({"custom_id": asked["custom_id"], "response": {"status_code": 200, "body": reply}, "error": None})
    results.write_text("".join(json.dumps(o) + "\n" for o in reversed(out)))


def test_batches_imported_until_none_is_left_give_the_data_of_direct_calls(tmp_path):
    expected = direct(tmp_path / "direct")
    requests, results = tmp_path / "requests.jsonl", tmp_path / "results.jsonl"
    with Store.open(tmp_path / "batch") as store:
        for _ in range(12):
            calls = open_calls(RECIPE, TOWNS, store)
            if not calls:
                break
            assert write_requests(calls.values(), requests) == len(calls)
            answer_batch(requests, results)
            assert import_results(RECIPE, store, calls, results).journalled == len(calls)
        assert not calls
        step = evolve(RECIPE, TOWNS, store, teacher=Journalled(Direct(), store))
        assert rows(store, step) == expected
        assert store.check_ledger(step)["pending"] == 0


def test_failed_results_stay_open_and_unknown_ones_are_counted(tmp_path):
    requests, results = tmp_path / "requests.jsonl", tmp_path / "results.jsonl"
    with Store.open(tmp_path / "run") as store:
        calls = open_calls(RECIPE, TOWNS, store)
        write_requests(calls.values(), requests)
        answer_batch(requests, results)
        lines = results.read_text().splitlines()
        failed = orjson.loads(lines[0]) | {"response": {"status_code": 500, "body": {"error": {"message": "busy"}}}}
        stranger = orjson.loads(lines[1]) | {"custom_id": "nobody"}
        results.write_text("\n".join([json.dumps(failed), json.dumps(stranger), *lines[2:], *lines[2:3]]))
        imported = import_results(RECIPE, store, calls, results)
        assert imported.journalled == 3
        assert imported.unknown == 2
        assert imported.failed == (f"{failed['custom_id']}: HTTP 500 busy",)
        assert {failed["custom_id"]} <= set(open_calls(RECIPE, TOWNS, store))


def results(path, requests, outcome):
    """A results file; `outcome(i, request)` is a (status, body), or None for a good reply."""
    out = []
    for i, line in enumerate(requests.read_text().splitlines()):
        asked = json.loads(line)
        good = {"choices": [{"index": 0, "message": {"content": text_of(asked["body"])}, "finish_reason": "stop"}]}
        status, body = outcome(i, asked) or (200, good)
        out.append({"custom_id": asked["custom_id"], "response": {"status_code": status, "body": body}, "error": None})
    path.write_text("".join(json.dumps(o) + "\n" for o in out))


def test_a_result_that_no_attempt_would_mend_decides_its_row(tmp_path):
    requests, found = tmp_path / "requests.jsonl", tmp_path / "results.jsonl"
    too_long = (400, {"error": {"message": "the prompt is too long", "code": "context_length_exceeded"}})
    filtered = (200, {"choices": [{"message": {"content": None}, "finish_reason": "content_filter"}]})
    with Store.open(tmp_path / "run") as store:
        calls = open_calls(RECIPE, TOWNS, store)
        write_requests(calls.values(), requests)
        results(found, requests, lambda i, _: {0: filtered, 1: too_long}.get(i))
        imported = import_results(RECIPE, store, calls, found)
        assert (imported.journalled, imported.failed, len(imported.refused)) == (3, (), 2)
        later = open_calls(RECIPE, TOWNS, store, imported.refused)
        assert not calls.keys() & later.keys()
        reasons = Counter(store.ledger(draws_step(RECIPE, TOWNS)))
        assert reasons["teacher gave up: content filter"] == reasons["teacher gave up: HTTP 400"] == 1


def test_a_parameter_that_a_batch_refuses_is_left_out_of_the_next_export(tmp_path):
    requests, found = tmp_path / "requests.jsonl", tmp_path / "results.jsonl"
    refused = (400, {"error": {"message": "'max_tokens' is not served; use 'max_completion_tokens'", "code": "bad"}})
    with Store.open(tmp_path / "run") as store:
        calls = open_calls(RECIPE, TOWNS, store)
        export_calls(store, calls, requests)
        results(found, requests, lambda i, _: refused)
        imported = import_results(RECIPE, store, calls, found)
        assert (imported.journalled, len(imported.failed), imported.refused) == (0, 5, {})
        export_calls(store, open_calls(RECIPE, TOWNS, store, imported.refused), requests)
        bodies = [json.loads(line)["body"] for line in requests.read_text().splitlines()]
        assert len(bodies) == 5 and all("max_completion_tokens" in b and "max_tokens" not in b for b in bodies)


SAMPLED = msgspec.structs.replace(
    RECIPE, teacher=msgspec.structs.replace(RECIPE.teacher, frequency_penalty=0.5, stop=("###",))
)
SENT = {
    "openai": ("temperature", "top_p", "frequency_penalty", "seed", "stop", "max_tokens"),
    "anthropic": ("temperature",),
    "gemini": ("temperature", "top_p", "frequency_penalty", "seed", "stop"),
}
GEMINI = {"top_p": "topP", "frequency_penalty": "frequencyPenalty", "stop": "stopSequences"}


def refusal(form, custom_id, name):
    """How a provider's results file says that it does not take a parameter."""
    if form == "openai":
        error = {"message": f"Unsupported parameter: '{name}'", "param": name, "code": "unsupported_parameter"}
        return {"custom_id": custom_id, "response": {"status_code": 400, "body": {"error": error}}, "error": None}
    if form == "anthropic":
        error = {"type": "invalid_request_error", "message": f"{name}: this model does not take it"}
        return {"custom_id": custom_id, "result": {"type": "errored", "error": {"type": "error", "error": error}}}
    snake = "stop_sequences" if name == "stop" else name
    violation = {"field": f"generation_config.{snake}", "description": "not supported by this model"}
    details = [{"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [violation]}]
    error = {"code": 400, "message": "Request contains an invalid argument.", "status": "INVALID_ARGUMENT"}
    return {"key": custom_id, "error": {**error, "details": details}}


@pytest.mark.parametrize(("form", "name"), [(form, name) for form, names in SENT.items() for name in names])
def test_each_parameter_that_a_batch_of_each_form_refuses_is_left_out(tmp_path, form, name):
    requests, found = tmp_path / "requests.jsonl", tmp_path / "results.jsonl"
    field = {"openai": name, "anthropic": name, "gemini": GEMINI.get(name, name)}[form]

    def exported(store, refused=None):
        calls = open_calls(SAMPLED, TOWNS, store, refused)
        export_calls(store, calls, requests, form)
        lines = [json.loads(line) for line in requests.read_text().splitlines()]
        ids = [line.get("custom_id") or line["key"] for line in lines]
        bodies = [line.get("body") or line.get("params") or line["request"]["generationConfig"] for line in lines]
        return calls, ids, bodies

    with Store.open(tmp_path / "run") as store:
        calls, ids, bodies = exported(store)
        assert len(bodies) == 5 and all(field in body for body in bodies)
        found.write_text("".join(json.dumps(refusal(form, i, name)) + "\n" for i in ids))
        imported = import_results(SAMPLED, store, calls, found)
        assert (imported.journalled, len(imported.failed), imported.refused) == (0, 5, {})
        _, again, bodies = exported(store, imported.refused)
        assert again == ids and not any(field in body for body in bodies)


def test_a_file_that_was_cut_short_leaves_what_it_held_and_a_broken_one_nothing(tmp_path):
    requests, found = tmp_path / "requests.jsonl", tmp_path / "results.jsonl"
    with Store.open(tmp_path / "run") as store:
        calls = open_calls(RECIPE, TOWNS, store)
        write_requests(calls.values(), requests)
        results(found, requests, lambda i, _: None)
        whole = found.read_text()
        found.write_text(whole.replace("custom_id", "custom_i", 1))
        with pytest.raises(DataError, match=rf"^{found}:1: not a line of a batch file"):
            import_results(RECIPE, store, calls, found)
        assert not list(store.calls())
        found.write_text(whole[:-40])
        imported = import_results(RECIPE, store, calls, found)
        assert (imported.journalled, imported.cut) == (4, f"{found}:5")


def calls_for_samples(store, tmp_path):
    """The open calls that ask for two texts, once those before them are answered."""
    requests, found = tmp_path / "before.jsonl", tmp_path / "answers.jsonl"
    calls = open_calls(RECIPE, TOWNS, store)
    while calls and not all(call.n == 2 for call in calls.values()):
        export_calls(store, calls, requests)
        results(found, requests, lambda i, _: None)
        import_results(RECIPE, store, {k: c for k, c in calls.items() if c.n == 1}, found)
        calls = open_calls(RECIPE, TOWNS, store)
        calls = {k: c for k, c in calls.items() if c.n == 2} or calls
    return calls


def test_samples_in_lines_of_their_own_are_joined_over_several_files(tmp_path):
    requests, found = tmp_path / "requests.jsonl", tmp_path / "results.jsonl"
    with Store.open(tmp_path / "run") as store:
        calls = calls_for_samples(store, tmp_path)
        assert export_calls(store, calls, requests, "anthropic") == len(calls)
        asked = [json.loads(line)["custom_id"] for line in requests.read_text().splitlines()]
        assert len(asked) == 2 * len(calls)

        def message(custom_id):
            return {"type": "succeeded", "message": {"content": [{"type": "text", "text": f"It is {custom_id[-1]}."}]}}

        def given(ids):
            found.write_text("".join(json.dumps({"custom_id": i, "result": message(i)}) + "\n" for i in ids))
            return import_results(RECIPE, store, calls, found).journalled

        assert given(asked[::2]) == 0
        export_calls(store, calls, requests, "anthropic")
        missing = [json.loads(line)["custom_id"] for line in requests.read_text().splitlines()]
        assert missing == asked[1::2]
        assert given(missing) == len(calls)
        assert all(store.reply(key).texts == ["It is 0.", "It is 1."] for key in calls)


def test_one_sample_that_was_refused_costs_no_other_one(tmp_path):
    requests, found = tmp_path / "requests.jsonl", tmp_path / "results.jsonl"
    with Store.open(tmp_path / "run") as store:
        calls = calls_for_samples(store, tmp_path)

        def given(*lines):
            reasons = {"text": "end_turn", "": "refusal"}
            found.write_text("".join(
                json.dumps({"custom_id": i, "result": {"type": "succeeded", "message": {
                    "content": [{"type": "text", "text": text}] if text else [], "stop_reason": reasons[text and "text"]}}})
                + "\n" for i, text in lines))  # fmt: skip
            return import_results(RECIPE, store, calls, found)

        first, second, third = list(calls)[:3]
        imported = given(
            (f"{first}-0", ""), (f"{first}-1", "It is 1."), (f"{second}-0", ""), (f"{third}-0", ""), (f"{third}-1", "")
        )
        assert store.reply(first).texts == ["", "It is 1."]
        assert list(imported.refused) == [third] and (imported.journalled, imported.incomplete) == (1, 1)
        export_calls(store, {second: calls[second]}, requests, "anthropic")
        assert [json.loads(line)["custom_id"] for line in requests.read_text().splitlines()] == [f"{second}-1"]
        given((f"{second}-1", "It is 2."))
        assert store.reply(second).texts == ["", "It is 2."]


def test_texts_of_a_provider_that_ignores_n_are_kept_and_only_the_others_asked(tmp_path):
    requests, found = tmp_path / "requests.jsonl", tmp_path / "results.jsonl"
    with Store.open(tmp_path / "run") as store:
        made = Counter()
        for _ in range(20):
            if not (calls := open_calls(RECIPE, TOWNS, store)):
                break
            export_calls(store, calls, requests)
            made.update(orjson.loads(line)["custom_id"] for line in requests.read_text().splitlines())
            results(found, requests, lambda i, _: None)  # one text, whatever is asked
            imported = import_results(RECIPE, store, calls, found)
            assert imported.journalled + imported.incomplete == len(calls)
        assert not calls
        assert set(made.values()) == {1}  # nothing is asked, and paid, twice
        assert any(line.endswith("-1") for line in made)
        assert not any(f"{line}-0" in made for line in made)


def test_a_file_of_requests_is_no_file_of_results(tmp_path):
    requests = tmp_path / "requests.jsonl"
    with Store.open(tmp_path / "run") as store:
        calls = open_calls(RECIPE, TOWNS, store)
        for form in ("openai", "anthropic", "gemini"):
            export_calls(store, calls, requests, form)
            with pytest.raises(DataError, match=r"requests\.jsonl:1: this line is a request"):
                import_results(RECIPE, store, calls, requests)


def test_the_commands_export_import_and_replay(tmp_path):
    recipe = tmp_path / "r.yaml"
    recipe.write_text(
        "domain: towns:domain\nseeds: {limit: 3}\nevolve: {rounds: 1, equal_check: false}\n"
        "teacher: {kind: http, model: m}\n"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(towns.__file__).parent)}

    def evoltune(*arguments):
        done = subprocess.run(
            [sys.executable, "-m", "evoltune", *arguments],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=environment,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    requests_file, results_file = tmp_path / "requests.jsonl", tmp_path / "results.jsonl"
    for left in ("3 calls are open", "0 calls are open"):
        assert "3 calls written" in evoltune("batch", "export", str(recipe), "run", str(requests_file))
        answer_batch(requests_file, results_file)
        assert left in evoltune("batch", "import", str(recipe), "run", str(results_file))
    assert "6 calls written" in evoltune("cassette", "export", "run", "calls.jsonl")
    assert "6 calls of m" in evoltune("cassette", "info", "calls.jsonl")
    assert "6 in; 6 kept" in evoltune("cassette", "replay", "calls.jsonl", str(recipe), "again")
