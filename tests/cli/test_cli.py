"""The command line: exit codes, one-line errors, nothing written on misuse."""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from evoltune.cli import COMMANDS, GROUPS, MOVED, completion, leaves, main, sentence


def evoltune(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "evoltune", *arguments], capture_output=True, text=True, cwd=cwd, timeout=120
    )


def test_help_fits_one_screen_and_lists_every_command(capsys):
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    listed = {line.split()[0] for line in text.splitlines() if line.startswith("  ")}
    assert listed == {name for commands in COMMANDS.values() for name in commands}
    assert len(text.splitlines()) <= 50 and max(map(len, text.splitlines())) <= 120


def test_every_group_lists_its_commands(capsys):
    for group, verbs in GROUPS.items():
        assert main([group]) == 2
        capsys.readouterr()
        assert main([group, "--help"]) == 0
        listed = [line.split()[0] for line in capsys.readouterr().out.splitlines() if line.startswith("  ")]
        assert listed == [*verbs]


@pytest.mark.parametrize(
    ("typed", "meant"), [(["tran"], "train"), (["data", "selekt"], "data select"), (["modle"], "model")]
)
def test_an_unknown_command_is_misuse_and_names_the_nearest(typed: list[str], meant: str, capsys):
    assert main(typed) == 2
    assert f"did you mean {meant!r}" in capsys.readouterr().err


def test_every_command_has_help(capsys):
    for name in leaves():
        with pytest.raises(SystemExit) as done:
            main([*name.split(), "--help"])
        assert done.value.code == 0 and f"evoltune {name}" in capsys.readouterr().out


def test_a_name_of_version_0_1_still_works_and_warns(capsys):
    for old, new in MOVED.items():
        with pytest.raises(SystemExit) as done:
            main([old, "--help"])
        printed = capsys.readouterr()
        assert (
            done.value.code == 0
            and f"usage: evoltune {new}" in printed.out
            and f"is now `evoltune {new}`" in printed.err
        )


@pytest.mark.parametrize(
    ("recipe", "says"),
    [
        ("domain: math\ntrain: {learning_rat: 1}\n", "did you mean 'learning_rate'"),
        ("domain: math\nseeds: {limit: x}\n", "seeds.limit"),
        ("domain: astrology\n", "code, general, math"),
        ("domain: math\nverify: {policy: {percnt: 1}}\n", "verify.policy.percnt"),
        ("domain: math\nverify: {policy: {units: strict}}\n", "agree, ignore, required"),
        ("domain: math\nseeds: {path: nowhere.jsonl}\n", "nowhere.jsonl"),
        ("domain: math\neval: {suites: [gsm8kk]}\n", "gsm8k"),
    ],
    ids=[
        "unknown key",
        "wrong type",
        "unknown domain",
        "unknown policy",
        "wrong policy",
        "missing seeds",
        "unknown suite",
    ],
)
def test_a_bad_recipe_is_one_line_and_nothing_is_written(tmp_path: Path, recipe: str, says: str):
    (tmp_path / "r.yaml").write_text(recipe)
    run = evoltune("run", "r.yaml", cwd=tmp_path)
    assert run.returncode == 2, run.stderr
    assert says in run.stderr and run.stderr.count("\n") == 1, run.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["r.yaml"]


@pytest.mark.parametrize(
    ("seeds", "says"),
    [('{"instruction": "a"}\n{"instruc', "seeds.jsonl:2"), ('{"answer": "a"}\n', "seeds.jsonl:1")],
    ids=["malformed line", "no instruction"],
)
def test_a_bad_seeds_file_names_the_line(tmp_path: Path, seeds: str, says: str):
    (tmp_path / "seeds.jsonl").write_text(seeds)
    (tmp_path / "r.yaml").write_text("domain: math\nseeds: {path: seeds.jsonl}\n")
    run = evoltune("run", "r.yaml", cwd=tmp_path)
    assert run.returncode == 2 and says in run.stderr and run.stderr.count("\n") == 1, run.stderr
    assert not (tmp_path / "runs").exists()


def test_help_costs_little_cpu():
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "evoltune", "--help"], capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    modules = subprocess.run(
        [sys.executable, "-c", "import sys, evoltune.cli; evoltune.cli.main(['--help']); print(len(sys.modules))"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert int(modules.stdout.splitlines()[-1]) < 250  # the number that decides the time, and does not vary with load
    print(f"--help: {after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime:.2f} s of CPU (limit 0.3)")


def test_explain_of_no_run_is_a_clear_error(tmp_path: Path):
    run = evoltune("explain", str(tmp_path), "abcd", cwd=tmp_path)
    assert run.returncode == 2 and "give the directory of a run" in run.stderr


@pytest.mark.parametrize(
    "fault",
    [OSError(28, "No space left on device", "runs/x"), RuntimeError("two\nlines \x1b[31mred \ud800")],
    ids=["full disk", "a fault of our own"],
)
def test_no_traceback_and_no_terminal_code_reaches_the_user(monkeypatch, capsys, fault: Exception):
    def broken(args):
        raise fault

    monkeypatch.delenv("EVOLTUNE_DEBUG", raising=False)
    monkeypatch.setattr("evoltune.cli.doctor.run", broken)
    assert main(["doctor"]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "\x1b" not in error and "evoltune doctor: " in error


@pytest.mark.parametrize("source", ["import sys; sys.exit(0)", "raise ValueError('two\\nlines')", "x ="])
def test_a_domain_that_fails_at_import_is_one_line(tmp_path: Path, capsys, monkeypatch, source: str):
    monkeypatch.chdir(tmp_path)
    package = tmp_path / "evoltune_broken"
    package.mkdir()
    (package / "__init__.py").write_text(source)
    (tmp_path / "r.yaml").write_text(f"domain: {package}\n")
    assert main(["run", "r.yaml"]) == 2
    error = capsys.readouterr().err
    assert "cannot be imported" in error and error.count("\n") == 1
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    "option", ["--workers -1", "--program-s 0", "--memory-mb 1.5", "--check-s nan", "--fail-under 90"]
)
def test_a_number_out_of_range_is_misuse(capsys, option: str):
    with pytest.raises(SystemExit) as done:
        main(["verify", "rows.jsonl", "--domain", "math", *option.split()])
    assert done.value.code == 2 and f"'{option.split()[1]}': must be a" in capsys.readouterr().err


def test_a_list_of_verbs_is_no_sentence():
    assert sentence("ls | new") == "ls | new" and sentence("write it") == "Write it."


def test_no_stage_at_all_is_misuse(tmp_path: Path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["run", "smoke/math", "--stages", ""]) == 2
    assert "names no stage" in capsys.readouterr().err and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("teacher: {kind: replay}", "teacher.cassette"),
        ("teacher: {kind: replay, cassette: nowhere}", "nowhere"),
        ("teacher: {kind: http}", "teacher.endpoints"),
        ("teacher: {kind: http, endpoints: [{url: 'no url'}]}", "teacher.endpoints.0.url"),
        ("teacher: {kind: http, endpoints: [{url: 'http://127.0.0.1:9/v1', api_key_env: NO_SUCH_KEY}]}", "NO_SUCH_KEY"),
        ("evolve: {operators: {nonesuch: 1}}", "nonesuch"),
    ],
)
def test_a_teacher_that_cannot_be_used_is_refused_before_anything_is_written(
    tmp_path: Path, capsys, monkeypatch, setting: str, says: str
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "r.yaml").write_text(f"domain: math\n{setting}\n")
    assert main(["evolve", "r.yaml"]) == 2
    error = capsys.readouterr().err
    assert says in error and error.count("\n") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["r.yaml"]


def test_an_override_cannot_name_itself(capsys):
    assert main(["recipes", "show", "smoke/math", "verify.policy={a: &a [*a]}"]) == 2
    assert "aliases" in capsys.readouterr().err


def _leaves(parser: argparse.ArgumentParser, name: str):
    """(command, its options) for a parser and all its sub-verbs."""
    subs = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    if not subs:
        yield name, {o for a in parser._actions for o in a.option_strings}
    for action in subs:
        for word, sub in action.choices.items():
            yield from _leaves(sub, f"{name} {word}".strip())


TALKS_OTHERWISE = {
    "model chat", "model serve", "teacher", "serve-verifier", "completion",  # a conversation, servers, a script
    "recipes cp", "recipes schema", "recipes reference",  # a file, JSON already, Markdown
}  # fmt: skip


def test_every_verb_that_a_program_would_read_prints_json():
    without = {name for name, options in _leaves(completion.whole(), "") if "--json" not in options}
    assert without <= TALKS_OTHERWISE


@pytest.mark.parametrize(
    "words",
    [
        "recipes ls", "recipes show smoke/math", "recipes check smoke/math", "domains ls", "plan smoke/math",
        "run smoke/math --dry-run", "suites ls", "profiles",
    ],
)  # fmt: skip
def test_json_is_all_that_standard_output_holds(words: str, capsys, monkeypatch, tmp_path: Path):
    monkeypatch.chdir(tmp_path)
    assert main([*words.split(), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    "words",
    [
        "report {}", "runs watch {}", "runs explain {} x", "data export {} --out rows.jsonl", "model merge {}",
        "cassette export {} tape", "data eliminate {}", "compare {} {}", "verify {} --domain math",
        "data select {} --out rows.jsonl", "plan {}",
        "ablate smoke/math --out {}", "build smoke/math --out {}", "recipes check {}", "domains check {}",
        "rescore {} --suite math/gradeschool-heldout", "judge {}", "train smoke/math --dataset {}",
    ],
)  # fmt: skip
def test_a_wrong_path_is_misuse_for_every_verb(words: str, capsys, monkeypatch, tmp_path: Path):
    monkeypatch.chdir(tmp_path)
    wrong = str(tmp_path / "not-there")
    assert main(words.replace("{}", wrong).split()) == 2
    command = " ".join(words.split()[:2] if words.split()[0] in GROUPS else words.split()[:1])
    assert capsys.readouterr().err.strip().splitlines()[-1].startswith(f"evoltune {command}: ")


@pytest.mark.parametrize(
    ("typed", "offered"),
    [(["ver"], "verify"), (["verify", "--require"], "--require-isolation"), (["recipes", "ch"], "check")],
)
def test_bash_completes_verbs_and_options(typed: list[str], offered: str, tmp_path: Path, capsys):
    assert main(["completion", "bash"]) == 0
    script = tmp_path / "completion.sh"
    script.write_text(capsys.readouterr().out)
    words = " ".join(["evoltune", *typed])
    ask = f'source {script}; COMP_WORDS=({words}); COMP_CWORD={len(typed)}; _shtab_evoltune; echo "${{COMPREPLY[@]}}"'
    done = subprocess.run(["bash", "-c", ask], capture_output=True, text=True, check=True)
    assert offered in done.stdout.split()


def test_a_long_list_of_what_is_allowed_is_cut():
    from evoltune.errors import nearest

    assert nearest("q", [f"gsm8k/{i}" for i in range(1319)]).endswith("gsm8k/1023 and 1289 more")
    assert nearest("gsm8k/1x", [f"gsm8k/{i}" for i in range(1319)]).startswith("did you mean 'gsm8k/1")


def test_a_recipe_with_rows_of_its_own_starts_at_train(capsys, monkeypatch, tmp_path: Path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.jsonl").write_text('{"instruction": "Add 1 and 2.", "output": "3", "topic": "sums"}\n')
    command = ["run", "smoke/math", "train.dataset=rows.jsonl", "eval.suites=[]", "--dry-run"]
    assert main(command) == 0
    shown = capsys.readouterr()
    assert "starting at train" in shown.err and "train: " in shown.out and "evolve:" not in shown.out
    assert (
        "first rows of rows.jsonl: alpaca (1 rows): instruction <- instruction, output <- output; not read: topic"
        in shown.out
    )
    assert main([*command, "--stages", "evolve,train"]) == 0
    assert "evolve:" in capsys.readouterr().out
    (tmp_path / "held").mkdir()
    (tmp_path / "rows.jsonl").rename(tmp_path / "held" / "test.jsonl")
    (tmp_path / "none.jsonl").touch()
    for dataset, told in (
        ("held", "holds no training split, only test.jsonl"),
        ("none.jsonl", "holds no row to train on"),
    ):
        assert main([*command, f"train.dataset={dataset}"]) == 2
        assert told in capsys.readouterr().err


def test_watching_a_finished_run_says_so_and_ends(capsys, tmp_path: Path):
    (tmp_path / "recipe.yaml").write_text("domain: math\nname: done\n")
    (tmp_path / "report.html").write_text("<p>done</p>")
    assert main(["runs", "watch", str(tmp_path)]) == 0
    assert "finished" in capsys.readouterr().out


def test_a_revision_with_slashes_is_a_revision_and_no_path(capsys, monkeypatch, tmp_path: Path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert main(["verify", "owner/name@refs/pr/1:main:train", "--domain", "math"]) == 2
    assert "no such file or folder" not in capsys.readouterr().err


@pytest.mark.parametrize("words", ["--help", "--version", "data --help", "recipes ls"])
@pytest.mark.parametrize(("to", "code"), [(">&-", 0), ("2>&- >&- <&-", 0), (">/dev/full", 1)])
def test_output_that_nobody_takes_is_no_traceback(words: str, to: str, code: int):
    command = f"{sys.executable} -m evoltune {words} {to}"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True)
    assert done.returncode == code and len(done.stderr.splitlines()) == code and "internal" not in done.stderr
    assert "Exception" not in done.stderr


def test_help_in_a_pipe_that_is_closed_ends_in_silence():
    read, written = os.pipe()
    os.close(read)
    done = subprocess.run([sys.executable, "-m", "evoltune", "--help"], stdout=written, stderr=subprocess.PIPE)
    os.close(written)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize(
    ("name", "content"), [("a.jsonl", ""), ("b.jsonl", "\n \n"), ("c.csv", "question,answer\n"), ("d.json", "[]")]
)
def test_a_file_without_a_row_is_no_success(tmp_path: Path, capsys, name: str, content: str):
    (tmp_path / name).write_text(content)
    assert main(["verify", str(tmp_path / name), "--domain", "math", "--out", str(tmp_path / "out.jsonl")]) == 2
    assert "holds no row" in capsys.readouterr().err and not (tmp_path / "out.jsonl").exists()


def test_the_home_directory_is_known_in_every_path(tmp_path: Path, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert main(["report", "~/nope"]) == 2
    assert f"{tmp_path}/nope: no such run" in capsys.readouterr().err
    assert main(["run", "smoke/math", "--stages", "evolve", "--dry-run", "--out=~/run"]) == 0
    assert f"run {tmp_path}/run" in capsys.readouterr().out
    assert main(["report", "~nobody-has-this-name/run"]) == 2
    assert "~nobody-has-this-name/run: no such run" in capsys.readouterr().err


@pytest.mark.parametrize("when", ["at once", "in a function at exit", "while the interpreter ends"])
@pytest.mark.parametrize("name", ["SIGHUP", "SIGTERM", "SIGINT"])
def test_a_signal_after_the_work_is_done_changes_no_exit_code(when, name):
    """The handlers of a program are gone for the last part of the interpreter's end, and the default ends a process by the signal."""
    kill = f"os.kill(os.getpid(), signal.{name})"
    late = {
        "at once": f"code = main(); {kill}; sys.exit(code)",
        "in a function at exit": f"code = main(); atexit.register(lambda: {kill}); sys.exit(code)",
        "while the interpreter ends": f"L = type('L', (), {{'__del__': lambda self, os=os, kill=os.kill, me=os.getpid(): kill(me, signal.{name})}})()\n"
        "sys.exit(main())",
    }
    program = f"import atexit, os, signal, sys\nfrom evoltune.cli import main\nsys.argv = ['evoltune', '--version']\n{late[when]}"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (run.returncode, run.stderr) == (0, "") and run.stdout.startswith("evoltune ")
