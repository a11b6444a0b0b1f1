"""The routes that trainers post to: open-instruct's programs with tests, and NeMo-Gym's responses."""

import pytest
from verifier_service import TOKEN, VerifierService

import evoltune
from evoltune.errors import DomainError, ServiceError

ADD = "def add(a, b):\n    return a + b\n"
QUOTES = 'def add(a, b):\n    """```python\n    add(1, 2)\n    ```"""\n    return a + b\n'


@pytest.mark.parametrize("program", [ADD, QUOTES])
@pytest.mark.parametrize("as_text", [False, True])
def test_each_test_of_a_program_is_a_result(live, program, as_text):
    tests = ["assert add(1, 2) == 3", "assert add(-1, 1) == 1", "assert add(0, 0) == 0"]
    body = {"program": program, "tests": str(tests).replace("'", '"') if as_text else tests, "max_execution_time": 5.0}
    status, _, found = live.request("POST", "/test_program", body)
    assert (status, found["results"]) == (200, [1, 0, 1])
    assert found["runtimes"][1] == -1 and found["runtimes"][0] > 0


def test_a_program_is_run_on_each_input(live):
    program = "import sys\nfor line in sys.stdin:\n    print(int(line) + 1)\n"
    tests = [{"input": "1\n", "output": "2\n"}, {"input": "100\n", "output": "102\n"}]
    status, _, found = live.request("POST", "/test_program_stdio", {"program": program, "tests": tests})
    assert (status, found["results"]) == (200, [1, 0])


def test_tests_that_are_no_list_are_refused_and_nothing_is_unpickled(live):
    status, _, found = live.request("POST", "/test_program", {"program": ADD, "tests": "gASVCgAAAAAAAACMBmFzc2VydJQu"})
    assert status == 422 and "pickled ones are not read" in found["error"]


def gym(*texts, **columns):
    output = [{"type": "reasoning", "summary": []}]
    output += [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": t}]} for t in texts]
    asked = {"input": [{"role": "user", "content": "2+3?"}]}
    return {"responses_create_params": asked, "response": {"id": "r", "output": output}, "domain": "math", **columns}


def test_a_gym_gets_its_body_back_with_the_reward(live):
    assert live.request("POST", "/seed_session", {})[::2] == (200, {})
    for columns in ({"reference": "5"}, {"expected_answer": "5"}):
        for text, reward in (("The answer is 5", 1.0), ("The answer is 6", 0.0)):
            body = gym("first 7", text, **columns)
            status, _, found = live.request("POST", "/verify", body)
            assert (status, found["reward"], found["failure_reason"]) == (200, reward, None)
            assert body.items() <= found.items()


def test_an_answer_that_cannot_be_judged_says_so(live):
    status, _, found = live.request("POST", "/verify", gym("The answer is 5"))
    assert (status, found["reward"]) == (200, 0.0) and "no reference" in found["failure_reason"]
    status, _, found = live.request(
        "POST", "/verify", {"response": {"output": None}, "domain": "math", "reference": "5"}
    )
    assert (status, found["reward"]) == (200, 0.0)


def test_without_a_domain_of_programs_there_is_no_route_for_them():
    service = VerifierService("--domain", "math")
    try:
        assert service.request("POST", "/test_program", {"program": ADD, "tests": []})[0] == 404
        assert "/test_program" not in service.request("GET", "/openapi.json", token=TOKEN)[2]["paths"]
        body = gym("5", reference="5")
        del body["domain"]
        assert service.request("POST", "/verify", body)[2]["reward"] == 1.0
    finally:
        service.stop()


def test_without_reward_models_a_score_is_the_verdict_and_null_where_nothing_could_be_judged(live):
    rows = [{"answer": "The answer is 5", "reference": "5"}, {"answer": "6", "reference": "5"}, {"answer": "5"}, 7]
    status, _, found = live.request("POST", "/score", {"domain": "math", "rows": rows})
    assert (status, [row["reward"] for row in found["scores"]]) == (200, [1.0, 0.0, None, None])
    assert "no reference" in found["scores"][2]["reason"] and "must be an object" in found["scores"][3]["reason"]
    assert live.request("POST", "/score", {"domain": "math", "rows": rows}, token=None)[0] == 401
    assert live.request("POST", "/score", {"domain": "math", "row": rows[0]})[0] == 422
    asked = {"service": live.url, "token": TOKEN, "reward": "product"}
    with evoltune.reward("math", **asked) as product:
        assert product(["5", "6", "5"], ["2 + 3?"] * 3, reference=["5", "5", None]) == [1.0, 0.0, None]
    with evoltune.reward("math", **asked, parts=["steps"]) as product:
        assert product(["5"], reference=[None]) == [None]
        with pytest.raises(ServiceError, match="no reward model of steps: start the service with --steps"):
            product(["5"], ["2 + 3?"], reference=["5"])
    with pytest.raises(DomainError, match="what a service gives"):
        evoltune.reward("math", reward="product")
