"""Tests in the program's own language: honest programs get what their interpreter or compiler says, and cheats do not pass."""

import pytest
from own_language_cheats import BY_LANGUAGE, PROVES, PROVES_NOTHING, QUICK

from evoltune.domain import Job
from evoltune.sandbox.languages import canonical, missing
from evoltune.sandbox.own_tests import refusal


def wrong_verdicts(run, language, cases):
    jobs = [Job(program=program, tests=tests, language=language, cpu_s=10) for program, tests, _ in cases]
    verdicts = run(*jobs)
    assert [v for v in verdicts if v.evidence.get("judge", "same process") != "same process"] == []
    return [
        (verdict.status, verdict.reason, program, tests)
        for verdict, (program, tests, passes) in zip(verdicts, cases, strict=True)
        if (verdict.status == "pass") != passes or verdict.status in ("error", "unverifiable")
    ]


@pytest.mark.parametrize("language", BY_LANGUAGE)
def test_right_programs_pass_and_no_cheat_does(run, language):
    if why := missing(language):
        pytest.skip(f"not run: {why}")
    assert wrong_verdicts(run, language, BY_LANGUAGE[language][: QUICK[language]]) == []


@pytest.mark.slow
@pytest.mark.parametrize("language", [name for name in BY_LANGUAGE if len(BY_LANGUAGE[name]) > QUICK[name]])
def test_the_whole_suite_of_compiled_languages(run, language):
    if why := missing(language):
        pytest.skip(f"not run: {why}")
    assert wrong_verdicts(run, language, BY_LANGUAGE[language]) == []


@pytest.mark.parametrize(
    ("names", "language"),
    [
        (("C++", "c++17", "GNU C++17", "C++14 (GCC 6-32)", "GNU G++17 7.3.0", " CPP "), "cpp"),
        (("Python 3.11", "Python (3.8)", "PyPy 3-64", "py3"), "python"),
        (("GNU C11", "C99", "gcc"), "c"),
        (("JS", "Node.js 12", "JavaScript (V8)"), "javascript"),
        (("Java 8", "JDK 17"), "java"),
        (("Python 2",), "python 2"),
        (("python2.7",), "python2.7"),
        (("PyPy 2-64",), "pypy 2-64"),
        (("C#",), "c#"),
    ],
)
def test_languages_are_known_as_people_and_judges_write_them_and_python_2_is_another(names, language):
    assert {canonical(name) for name in names} == {language}


@pytest.mark.parametrize(("language", "program", "tests"), PROVES_NOTHING)
def test_tests_that_cannot_fail_or_judge_by_what_the_program_defines_prove_nothing(language, program, tests):
    assert refusal(language, program, tests)


@pytest.mark.parametrize(
    "case", [*PROVES, *((n, p, t) for n, cases in BY_LANGUAGE.items() for p, t, ok in cases if ok)]
)
def test_tests_of_honest_programs_are_run(case):
    assert refusal(*case) == ""


def test_a_pass_that_would_prove_nothing_is_unverifiable(one):
    verdict = one("add() { :; }\ngrep() { :; }", "add 2 3 | grep -qx 5", language="bash")
    assert (verdict.status, verdict.reason) == ("unverifiable", "the program defines 'grep', by which the tests judge")


def test_a_program_that_is_ended_has_the_label_of_its_judge(one):
    verdict = one("while :; do :; done", "true", language="bash", cpu_s=0.5)
    assert (verdict.status, verdict.evidence["judge"]) == ("timeout", "same process")


def test_an_early_exit_is_named(one):
    verdict = one("exit 0", 'echo "never"', language="bash")
    assert (verdict.status, verdict.reason) == ("fail", "the program exited before its tests were done")


PROGRAMS = {
    "python": "print(int(input()) * 2)",
    "javascript": "console.log(2 * Number(require('fs').readFileSync('/dev/stdin', 'utf8')))",
    "typescript": "declare var require: any, console: any;\nconst n: number = Number(require('fs').readFileSync(0, 'utf8'));\nconsole.log(2 * n);",
    "c": '#include <stdio.h>\nint main(void) { int x; scanf("%d", &x); fprintf(stderr, "debug\\n"); printf("%d\\n", 2 * x); return 0; }',
    "cpp": "#include <bits/stdc++.h>\nusing namespace std;\nint main() { int x; cin >> x; cout << 2 * x << endl; }",
    "bash": "while read -r x; do echo $((2 * x)); done < <(cat)",
    "java": "import java.util.Scanner;\npublic class Doubled {\n  public static void main(String[] a) { System.out.println(2 * new Scanner(System.in).nextInt()); }\n}",
    "go": 'package main\n\nimport "fmt"\n\nfunc main() {\n\tvar x int\n\tfmt.Scan(&x)\n\tfmt.Println(2 * x)\n}\n',
    "rust": "use std::io;\nfn main() { let mut s = String::new(); io::stdin().read_line(&mut s).unwrap(); println!(\"{}\", 2 * s.trim().parse::<i64>().unwrap()); }",
}  # fmt: skip


ENDLESS = {
    "go": "package main\n\nfunc main() {\n\tfor i := 0; ; i++ {\n\t}\n}\n",
    "c": "#include <signal.h>\nint main(void) { signal(SIGPROF, SIG_IGN); for (volatile int i = 0;; i++); }",
}


@pytest.mark.parametrize("language", ENDLESS)
def test_a_program_that_does_not_hear_the_timer_is_out_of_time(run, language):
    if why := missing(language):
        pytest.skip(f"not run: {why}")
    (verdict,) = run(Job(program=ENDLESS[language], tests={"stdio": [["", "1"]]}, language=language, cpu_s=1))
    assert verdict.status == "timeout", verdict


NODE = {
    "modules and types": "import * as readline from 'readline';\nimport { Buffer as Bytes } from 'buffer';\nconst rl: readline.Interface = "
    "readline.createInterface({ input: process.stdin });\nlet late: NodeJS.Timeout;\nconst kept: Buffer[] = [Buffer.from('')];\n"
    "rl.on('line', (line: string) => { late = setTimeout(() => console.log(kept.length + [1, Number(line)].at(-1)!), 1); });",
    "names of its own": "declare const process: any;\ndeclare function require(name: string): any;\nconst { performance } = require('perf_hooks');\n"
    "interface Buffer { x: number }\nconst n: Buffer = { x: Number(require('fs').readFileSync(0, 'utf8')) };\nprocess.stdout.write(`${n.x + 1}`);",
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", NODE)
def test_a_typescript_program_has_what_node_gives_it(run, name):
    if why := missing("typescript"):
        pytest.skip(f"not run: {why}")
    tests = {"stdio": [["4\n", "5"]]}
    wrong = NODE[name].replace("Number(", "Numbr(")
    jobs = [Job(program=p, tests=tests, language="typescript", cpu_s=10) for p in (NODE[name], wrong)]
    assert [verdict.status for verdict in run(*jobs)] == ["pass", "fail"]


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    "language", [pytest.param(name, marks=SLOW) if name in ("typescript", "java", "cpp") else name for name in PROGRAMS]
)
def test_whole_programs_are_judged_by_what_they_print(run, language):
    if why := missing(language):
        pytest.skip(f"not run: {why}")
    (verdict,) = run(
        Job(program=PROGRAMS[language], tests={"stdio": [["4\n", "8"], ["-1\n", "-2"]]}, language=language, cpu_s=10)
    )
    assert verdict.status == "pass", verdict
    assert ("stderr" in verdict.evidence) == (language == "c")
