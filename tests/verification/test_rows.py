"""`evoltune verify FILE`: order, renamed columns, suites, profiles, misuse, and resuming after a kill."""

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from processes import alive, below

from evoltune.cli import main
from evoltune.cluster.engine import pools_kept
from evoltune.errors import DataError
from evoltune.verification.checker import open_checker
from evoltune.verification.rows import verify_to_file


@pytest.fixture(autouse=True, scope="module")
def shared_workers():
    """Starting them takes longer than what a test has them judge."""
    with pools_kept():
        yield


def rows_file(path, rows):
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    return str(path)


def lines(path):
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


@pytest.fixture
def verify(toy, tmp_path):
    """Runs the command on the toy domain with one worker."""
    return lambda file, *options: main(["verify", str(file), "--domain", toy, "--workers", "1", *options])


def test_rows_are_written_in_order_and_counted(verify, tmp_path, capsys):
    rows = [{"id": i, "answer": str(i % 2), "reference": "1"} for i in range(30)]
    assert verify(rows_file(tmp_path / "in.jsonl", rows), "--out", str(tmp_path / "out.jsonl")) == 0
    assert [r["id"] for r in lines(tmp_path / "out.jsonl")] == list(range(30))
    assert "30 rows: 15 pass, 15 fail" in capsys.readouterr().out
    assert not (tmp_path / "out.jsonl.partial").exists()


def test_columns_can_be_renamed_and_json_is_printed(verify, tmp_path, capsys):
    file = rows_file(tmp_path / "in.jsonl", [{"id": 1, "output": "1", "gold": "1"}])
    assert verify(file, "--map", "answer=output", "--map", "reference=gold", "--json") == 0
    row, counts = map(json.loads, capsys.readouterr().out.splitlines())
    assert (row["status"], counts["pass"], counts["rows"]) == ("pass", 1, 1)


def test_a_prompt_of_messages_asks_what_its_user_said_last(verify, tmp_path):
    turns = [("user", "first"), ("assistant", "no"), ("user", "last"), ("tool", "5")]
    prompt = [{"role": role, "content": text} for role, text in turns]
    rows = [{"prompt": prompt, "answer": "last"}, {"prompt": "plain", "answer": "plain"}]
    out = tmp_path / "out.jsonl"
    assert verify(rows_file(tmp_path / "in.jsonl", rows), "--profile", "asked", "--out", str(out)) == 0
    assert [(row["status"], row["reason"]) for row in lines(out)] == [("pass", "last"), ("pass", "plain")]


def test_fail_under_is_exit_code_1(verify, tmp_path):
    file = rows_file(tmp_path / "in.jsonl", [{"answer": a, "reference": "1"} for a in "12"])
    assert verify(file, "--fail-under", "0.9") == 1
    assert verify(file, "--fail-under", "0.5") == 0


def test_a_number_is_an_answer_a_truth_value_none_and_repeated_ids_are_told_apart(verify, tmp_path, capsys):
    file = tmp_path / "in.jsonl"
    answers = ["1", "1.0", "true", "[1, 2]"]
    file.write_text("".join(f'{{"id": "x\\u001b", "answer": {answer}, "reference": 1}}\n' for answer in answers))
    assert verify(file, "--out", str(tmp_path / "out.jsonl")) == 0
    rows = lines(tmp_path / "out.jsonl")
    assert [(r["status"], r.get("sample")) for r in rows] == [
        ("pass", None), ("fail", 1), ("error", 2), ("pass", 3), ("fail", 4),
    ]  # fmt: skip
    assert "'answer' is True, a truth value" in rows[2]["reason"]
    said = capsys.readouterr().out
    assert "1 id stands on several rows" in said and "on 4): `sample` numbers their verdicts" in said
    assert "\x1b" not in said


def test_a_malformed_file_is_one_line_with_its_number(verify, tmp_path, capsys):
    file = tmp_path / "in.jsonl"
    file.write_text('{"id": 1, "answer": "1"}\n{"id": 2,\n')
    assert verify(file) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith(f"evoltune verify: {file}:2: not JSON")


def test_every_json_value_gets_a_verdict(verify, tmp_path):
    file = tmp_path / "in.jsonl"
    file.write_text(
        '3\n{"answer": "1", "reference": 1, "note": NaN}\n{"id": "\\ud800", "answer": "\\udc00", "reference": "1"}\n'
    )
    assert verify(file, "--out", str(tmp_path / "out.jsonl")) == 0
    assert [r["status"] for r in lines(tmp_path / "out.jsonl")] == ["error", "pass", "fail"]
    array = tmp_path / "in.json"
    array.write_text('[3, ["x"], {"answer": "1", "reference": 1}]')
    assert verify(array, "--out", str(tmp_path / "out.jsonl")) == 0
    assert [r["status"] for r in lines(tmp_path / "out.jsonl")] == ["error", "error", "pass"]


def test_a_long_integer_reference_keeps_its_digits(verify, tmp_path, capsys):
    answer = "12345678901234567890123"
    file = rows_file(tmp_path / "in.jsonl", [{"answer": answer, "reference": int(answer)}])
    assert verify(file) == 0
    assert "1 pass" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.jsonl", "--domain", "TOY"], "missing.jsonl"),
        (["IN"], "--domain"),
        (["IN", "--domain", "nothing_like_it"], "nothing_like_it"),
        (["IN", "--domain", "TOY", "--profiles", "sond"], "sound"),
        (["IN", "--domain", "TOY", "--suite", "tin"], "tiny"),
        (["IN", "--domain", "TOY", "--map", "answer"], "OURS=THEIRS"),
        (["IN", "--domain", "TOY", "--map", "answr=answer"], "we read no column 'answr': allowed: answer, id, "),
        (["IN", "--domain", "TOY", "--map", "answer=nothere"], "no column 'nothere': allowed: answer"),
        (["IN", "--domain", "TOY", "--policy", "COUNTS=1"], "COUNT"),
        (["IN", "--domain", "math", "--policy", "units=strict"], "agree, ignore, required"),
    ],
)
def test_misuse_is_exit_code_2_and_one_line(toy, tmp_path, capsys, arguments, message):
    file = rows_file(tmp_path / "in.jsonl", [{"answer": "1"}])
    arguments = [{"TOY": toy, "IN": file}.get(a, a) for a in arguments]
    assert main(["verify", *arguments, "--workers", "1"]) == 2
    assert message in capsys.readouterr().err.strip().splitlines()[-1]


def test_the_old_name_of_the_cpu_limit_works_and_warns(verify, tmp_path, capsys):
    loop = {"answer": "while True: pass", "tests": "assert True"}
    assert verify(rows_file(tmp_path / "in.jsonl", [loop]), "--timeout-s", "0.2") == 0
    printed = capsys.readouterr()
    assert "--timeout-s is now --program-s" in printed.err and "1 timeout" in printed.out


def test_profiles_show_their_disagreements(verify, tmp_path, capsys):
    rows = [{"id": "x", "answer": "2", "reference": "1"}, {"id": "y", "answer": "1", "reference": "1"}]
    assert verify(rows_file(tmp_path / "in.jsonl", rows), "--profiles", "sound,lenient") == 0
    out = capsys.readouterr().out
    assert "x\tsound=fail\tlenient=pass" in out and "1 disagreements" in out


def test_a_suite_joins_task_ids_with_its_tasks(verify, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("EVOLTUNE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "tiny.txt").write_text("1 2")
    rows = [{"task_id": "t2", "completion": "2"}, {"task_id": "t1", "completion": "2"}]
    options = ["--suite", "tiny", "--data", str(tmp_path), "--json"]
    assert verify(rows_file(tmp_path / "in.jsonl", rows), *options) == 0
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(r.get("id"), r.get("status")) for r in printed[:2]] == [("t2", "pass"), ("t1", "fail")]


def test_a_suite_whose_file_has_changed_is_refused(verify, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("EVOLTUNE_CACHE", str(tmp_path / "cache"))
    file = rows_file(tmp_path / "in.jsonl", [{"task_id": "t1", "completion": "1"}])
    for content, code in (("1 2", 0), ("1 3", 2)):
        (tmp_path / "tiny.txt").write_text(content)
        assert verify(file, "--suite", "tiny", "--data", str(tmp_path)) == code
    assert "hashes.json" in capsys.readouterr().err


def test_standard_input_and_parquet_are_read(verify, toy, tmp_path, capsys):
    parquet = pytest.importorskip("pyarrow.parquet")
    import pyarrow

    table = pyarrow.Table.from_pylist([{"id": "p", "answer": "1", "reference": "1"}])
    parquet.write_table(table, tmp_path / "in.parquet")
    assert verify(tmp_path / "in.parquet") == 0
    assert "1 rows: 1 pass" in capsys.readouterr().out
    command = [sys.executable, "-m", "evoltune", "verify", "-", "--domain", toy, "--workers", "1", "--json"]
    row = '{"id": 5, "answer": "1", "reference": "1"}\n'
    done = subprocess.run(command, input=row, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[0])["id"] == 5


def test_a_folder_of_files_is_read_in_the_order_of_its_names(verify, tmp_path):
    (tmp_path / "rows").mkdir()
    for name in "ba":
        rows_file(tmp_path / "rows" / f"{name}.jsonl", [{"id": name, "answer": "1", "reference": "1"}])
    assert verify(tmp_path / "rows", "--out", str(tmp_path / "out.jsonl")) == 0
    assert [row["id"] for row in lines(tmp_path / "out.jsonl")] == ["a", "b"]


# ---- several answers, scores, and what must not happen


def test_several_answers_a_row_give_measures_and_scores_that_compare_takes(verify, tmp_path, capsys):
    first = [{"id": i, "answer": ["1", "1", "2"], "reference": str(1 + i % 2), "rank": [1, 2, 3]} for i in range(6)]
    second = [{**row, "answer": [row["reference"]] * 3} for row in first]
    names = [str(tmp_path / name) for name in ("a.jsonl", "b.jsonl")]
    for name, rows in zip(names, (first, second), strict=True):
        assert verify(rows_file(tmp_path / "in.jsonl", rows), "--out", name, "--k", "1,3", "--rank-by", "rank") == 0
    out = capsys.readouterr().out
    assert "pass@1: 50.0%" in out and "pass@3: 100.0%" in out and "best@3: 50.0%" in out
    assert [row["sample"] for row in lines(names[0])] == [0, 1, 2] * 6
    assert main(["compare", *names]) == 0
    assert "toy-rows: +50.0%" in capsys.readouterr().out
    other = [{**row, "reference": "9"} for row in second]
    assert verify(rows_file(tmp_path / "in.jsonl", other), "--out", names[1]) == 0
    assert main(["compare", *names]) == 1
    assert "different problem files" in capsys.readouterr().out


def test_a_k_above_the_answers_of_a_problem_is_not_given(verify, tmp_path, capsys):
    rows = [{"id": 1, "answer": ["1", "2"], "reference": "1"}, {"id": 2, "answer": ["1", "2", "3"], "reference": "1"}]
    assert verify(rows_file(tmp_path / "in.jsonl", rows), "--k", "1,2,3") == 0
    out = capsys.readouterr().out
    assert "pass@2: 83.3%" in out and "pass@3: not given, a problem has only 2 answers" in out


def test_reasons_are_counted_and_shown_beside_the_reference(verify, tmp_path, capsys):
    rows = [{"id": f"r{i}", "answer": str(i), "reference": "1"} for i in range(5)] + [{"id": "empty", "reference": "1"}]
    assert verify(rows_file(tmp_path / "in.jsonl", rows), "--out", str(tmp_path / "out.jsonl")) == 0
    out = capsys.readouterr().out
    assert (
        "  4 fail: no reason given\n      e.g. r0 (answer ends '0', reference '1')" in out and "  1 error: row N" in out
    )
    assert verify(tmp_path / "in.jsonl", "--json") == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["reasons"][0]["rows"] == 4


@pytest.mark.parametrize("name", ["in.jsonl", "linked.jsonl", "sub/../in.jsonl"])
def test_out_never_overwrites_the_input(verify, tmp_path, capsys, name):
    file = rows_file(tmp_path / "in.jsonl", [{"answer": "1", "reference": "1"}])
    before = Path(file).read_bytes()
    (tmp_path / "sub").mkdir()
    os.link(file, tmp_path / "linked.jsonl")
    assert verify(file, "--out", str(tmp_path / name)) == 2
    assert "is the input itself" in capsys.readouterr().err and Path(file).read_bytes() == before
    assert verify(tmp_path, "--out", str(tmp_path / name)) == 2


@pytest.mark.parametrize(
    "name", ["v.jsonl.partial", "v.scores.json", "v.audit.html", "v.audit.key.json", "v.link"]
)  # fmt: skip
def test_nor_does_what_is_written_beside_it(verify, tmp_path, capsys, name):
    file = rows_file(tmp_path / name, [{"answer": "1", "reference": "1"}])
    before = Path(file).read_bytes()
    (tmp_path / "v.jsonl").symlink_to(name) if name == "v.link" else None
    assert verify(file, "--out", str(tmp_path / "v.jsonl")) == 2
    assert "is the input itself" in capsys.readouterr().err and Path(file).read_bytes() == before


def test_out_may_be_compressed_and_is_never_a_device(verify, tmp_path, capsys):
    file = rows_file(tmp_path / "in.jsonl", [{"id": i, "answer": "1", "reference": "1"} for i in range(3)])
    assert verify(file, "--out", str(tmp_path / "v.jsonl.gz")) == 0
    with gzip.open(tmp_path / "v.jsonl.gz", "rt") as found:
        assert [json.loads(line)["status"] for line in found] == ["pass"] * 3
    assert verify(file, "--out", "/dev/null") == 2 and "is a device" in capsys.readouterr().err
    for folder in (".", "/", str(tmp_path)):
        assert verify(file, "--out", folder) == 2 and "is a folder" in capsys.readouterr().err


def test_an_id_cannot_imitate_a_line_of_ours(verify, tmp_path, capsys):
    rows = [{"id": "a: b\n9 rows: 9 pass (100.0% pass)", "answer": ["1", "2"], "reference": "1"}]
    assert verify(rows_file(tmp_path / "in.jsonl", rows)) == 0
    first, *_, last = capsys.readouterr().out.splitlines()
    assert first.startswith("a: b\\x0a9 rows: 9 pass (100.0% pass) #1\tfail\t(answer ends '2'")
    assert last.startswith("2 rows: 1 pass")


def test_rows_of_one_id_that_ask_for_different_things_are_problems_of_their_own(verify, tmp_path, capsys):
    asked = [("1", "1"), ("2", "2"), ("1", "1"), ("3", "2")]
    rows = [{"id": "same", "answer": answer, "reference": reference} for answer, reference in asked]
    assert verify(rows_file(tmp_path / "in.jsonl", rows), "--k", "1,2", "--out", str(tmp_path / "v.jsonl")) == 0
    out = capsys.readouterr().out
    assert "pass@1: 75.0%" in out and "pass@2: 100.0%" in out and "2 problems)" in out
    scores = json.loads((tmp_path / "v.scores.json").read_text())["suites"]["toy-rows"]
    assert (scores["problems"], scores["n"]) == (2, 2)


@pytest.mark.parametrize("rows", [[{"id": 1, "text": "1"}] * 3, [{"answer": "1"}] * 2])
def test_a_file_of_which_nothing_can_be_judged_is_not_done(verify, tmp_path, capsys, rows):
    assert verify(rows_file(tmp_path / "in.jsonl", rows)) == 1
    assert f"not one of {len(rows)} rows could be judged" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options", [["--workers", "-1"], ["--fail-under", "90"], ["--audit", "0"], ["--program-s", "nan"]]
)  # fmt: skip
def test_impossible_values_are_refused_by_the_parser(verify, tmp_path, options):
    with pytest.raises(SystemExit) as refused:
        verify(rows_file(tmp_path / "in.jsonl", [{"answer": "1"}]), *options)
    assert refused.value.code == 2


def test_generations_of_a_suite_are_joined_and_a_part_is_flagged(verify, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("EVOLTUNE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "tiny.txt").write_text("1 2 3 4")
    (tmp_path / "generations.json").write_text('[["1", "2"], ["3", "2"]]')
    options = ["--suite", "tiny", "--data", str(tmp_path), "--out", str(tmp_path / "out.jsonl")]
    assert verify(tmp_path / "generations.json", *options) == 0
    found = [(r["id"], r["sample"], r["status"]) for r in lines(tmp_path / "out.jsonl")]
    assert found == [("t1", 0, "pass"), ("t1", 1, "fail"), ("t2", 0, "fail"), ("t2", 1, "pass")]
    printed = capsys.readouterr()
    assert "only 2 of the 4 problems of tiny" in printed.err and "pass@2: 100.0%" in printed.out


# ---- resuming


def test_two_commands_do_not_write_one_file(toy, tmp_path):
    rows = [{"id": i, "answer": "1", "reference": "1"} for i in range(5)]
    with open_checker(toy, workers=1) as checker:
        first = verify_to_file({"sound": checker}, iter(rows), tmp_path / "out.jsonl", "a")
        assert next(first)["id"] == 0
        with pytest.raises(DataError, match="another process writes it"):
            next(verify_to_file({"sound": checker}, iter(rows), tmp_path / "out.jsonl", "a"))
        assert [row["id"] for row in first] == [1, 2, 3, 4]
    assert [row["id"] for row in lines(tmp_path / "out.jsonl")] == [0, 1, 2, 3, 4]


def test_only_the_same_command_resumes_and_half_a_line_is_dropped(toy, tmp_path):
    rows = [{"id": i, "answer": "1", "reference": "1"} for i in range(20)]
    out, partial = tmp_path / "out.jsonl", tmp_path / "out.jsonl.partial"
    resumed: list[int] = []
    with open_checker(toy, workers=1) as checker:

        def start(key):
            return verify_to_file({"sound": checker}, iter(rows), out, key, resumed.append)

        first = start("a")
        taken = [next(first)["id"] for _ in range(7)]
        first.close()
        partial.write_text(partial.read_text() + '{"id": 7, "sta')
        assert taken == list(range(7)) and not out.exists()
        assert [row["id"] for row in start("a")] == [row["id"] for row in lines(out)] == list(range(20))
        assert resumed == [7] and not partial.exists()
        next(start("a"))
        assert [row["id"] for row in start("b")] == list(range(20)) and resumed == [7]


def test_a_killed_command_resumes_after_its_last_row(verify, toy, tmp_path, capsys):
    count = tmp_path / "count"
    rows = [{"id": i, "answer": str(i), "reference": "1"} for i in range(4000)]
    file, out = rows_file(tmp_path / "in.jsonl", rows), tmp_path / "out.jsonl"
    options = [file, "--policy", f"COUNT={count}", "--out", str(out)]
    command = [sys.executable, "-m", "evoltune", "verify", "--domain", toy, "--workers", "1", *options]
    run = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    partial = tmp_path / "out.jsonl.partial"
    while run.poll() is None and not (partial.exists() and partial.read_bytes().count(b"\n") > 50):
        time.sleep(0.005)
    run.kill()
    run.wait()
    verified_before = partial.read_bytes().count(b"\n") - 1
    time.sleep(0.5)  # its workers end with it
    calls_before = len(count.read_text().split())
    assert verify(*options) == 0
    assert [r["id"] for r in lines(out)] == list(range(4000))
    assert len(count.read_text().split()) - calls_before <= 4000 - verified_before + 1
    assert "4000 rows" in capsys.readouterr().out


def test_ctrl_c_ends_the_command_and_all_its_processes(toy, tmp_path):
    loop = {"answer": "while True: pass", "tests": "assert True"}
    quick = [{"answer": str(i), "reference": "1"} for i in range(100)]
    file = rows_file(tmp_path / "in.jsonl", [*quick, loop])
    options = ["--domain", toy, "--program-s", "1000", "--out", str(tmp_path / "out.jsonl")]
    command = [sys.executable, "-m", "evoltune", "verify", file, *options]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    partial = tmp_path / "out.jsonl.partial"
    while run.poll() is None and not (partial.exists() and partial.read_bytes().count(b"\n") > 1):
        time.sleep(0.01)
    # One worker's three processes, and the endless program's.
    while run.poll() is None and len(family := below(run.pid)) < 4:
        time.sleep(0.01)
    os.killpg(run.pid, signal.SIGINT)  # as a terminal does
    error = run.communicate(timeout=60)[1]
    assert run.returncode == 130 and error.splitlines()[1:] == [
        "evoltune verify: interrupted: everything finished is kept; the same command resumes"
    ]
    until = time.monotonic() + 60
    while alive(family) and time.monotonic() < until:
        time.sleep(0.02)
    assert len(family) >= 4 and not alive(family)
