"""Tests that are written in the program's own language: how both become one program that reports when its tests have ended.

Such tests share the process of the program, and its exit status alone proves nothing: a program that exits early has status 0 too.
So a harness in each language runs the tests and, when they end without a failure, by their last statement or by an exit of their
own, writes a secret that it took from a descriptor before the program ran. What the program defines to make tests harmless (NDEBUG,
`assert`, `exit`, `[` ...) is undone before they start. A program made to deceive its own process can still do it; the verdict says
`judge: same process`.

    prepare("c", "int f(void) { return 1; }", "#include <assert.h>\\nint main(void) { assert(f() == 1); }", 512)
"""

import os
import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from evoltune.sandbox.languages import LANGUAGES, defined_names, java_names, node_types


def _read(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()


_FOLDER = os.path.join(os.path.dirname(__file__), "harness")
# Read when this module is imported: no job can see this folder.
_HARNESS = {file: _read(os.path.join(_FOLDER, file)) for file in sorted(os.listdir(_FOLDER))}
_IMPORT = re.compile(r"^[ \t]*import\b[^\n;]*;[ \t]*\n?", re.M)
_UNDONE = "if else for while do return switch case default break continue goto main assert NDEBUG exit abort true false".split()
"""Macros of a C program that its tests must not meet."""
_WORD = re.compile(r"[A-Za-z_]\w*")
_PARTIAL_EQ = re.compile(r"\bPartialEq\s*<\s*([^>{;]+?)\s*>\s*for\s+(\w+)")
_OPERATOR = re.compile(r"\boperator\s*[=!]=\s*\(([^)]*)\)")
_DECLARED = re.compile(r"\b(?:struct|class|union|enum)\s+(\w+)|\}\s*(\w+)\s*;")
_TEMPLATE = re.compile(r"\btemplate\s*<[^<>]*>")
_EQUALS = re.compile(r"\bequals\s*\(\s*(?:final\s+)?Object\s+(\w+)\s*\)\s*\{([^{}]*)\}")
_READONLY = re.compile(r"\b(?:readonly|declare|typeset)[ \t]+-\w*f\b.*")
_PACKAGE = re.compile(r"^package[ \t]+\w+", re.M)
_EXITS = ("exit", "_exit", "_Exit", "quick_exit")


class Prepared(NamedTuple):
    """Files to write, commands that build, and the command that runs."""

    files: Mapping[str, str]
    build: list[list[str]]
    run: list[str]


def prepare(language: str, program: str, tests: str) -> Prepared:
    """Program and tests with the harness of their language."""
    return _PREPARE[language](program, tests, os.urandom(8).hex())


def refusal(name: str, program: str, tests: str) -> str:
    """Why a pass of these tests would prove nothing: they cannot fail, or the program defines that by which they judge. Empty
    where it would."""
    language = LANGUAGES[name]
    if not re.search(language.fails, tests):
        return "the tests assert nothing"
    defined = defined_names(name, program) & set(_WORD.findall(tests))
    taken = defined & language.judged_by
    # A function of the library that is itself under test is what the tests ask for.
    what = min(taken) if taken and defined - taken else ""
    if not what and re.search(r"[=!]=|assert_|equals", tests):
        what = _foreign_equality(name, program)
    if not what and name == "bash" and (fixed := _READONLY.search(program)):
        what = fixed[0]
    return f"the program defines {what!r}, by which the tests judge" if what else ""


def _foreign_equality(name: str, program: str) -> str:
    """A comparison that the program defines for types that are not its own, or that does not look at the other side: such an
    object can equal anything."""
    if name == "rust":
        found = _PARTIAL_EQ.finditer(program)
        return next((f"PartialEq<{m[1]}>" for m in found if m[1] not in ("Self", m[2])), "")
    if name == "cpp":
        own = {word for declared in _DECLARED.findall(_TEMPLATE.sub("", program)) for word in declared if word}
        found = _OPERATOR.finditer(program)
        return next((m[0] for m in found if not own & set(_WORD.findall(m[1]))), "")
    if name == "java":
        return next((m[0] for m in _EQUALS.finditer(program) if m[1] not in _WORD.findall(m[2])), "")
    return ""


def ended_well(report: str, secret: str) -> bool:
    """Whether the harness reported the end of its tests."""
    return report == f"{secret}0"


def _harness(name: str, nonce: str) -> str:
    return _HARNESS[name].replace("@NONCE@", nonce)


def _between(nonce: str, cpp: bool) -> str:
    """What stands between a program in C or C++ and its tests."""
    lines = [f"#undef {name}" for name in _UNDONE]
    extern = 'extern "C" ' if cpp else ""
    lines += [
        "#include <assert.h>",
        "#include <stdlib.h>",
        "#include <unistd.h>",
        *(["#include <cstdlib>"] if cpp else []),
    ]
    lines += [f"{extern}void exit_{nonce}(int) __attribute__((noreturn));"]
    lines += [
        f"{extern}void failed_{nonce}(const char *, const char *, unsigned, const char *) __attribute__((noreturn));"
    ]
    lines += [f"namespace std {{ using ::exit_{nonce}; }}"] if cpp else []
    lines += [f"#undef {name}\n#define {name}(status) exit_{nonce}(status)" for name in _EXITS]
    lines += ["#undef __assert_fail", f"#define __assert_fail failed_{nonce}", '#line 1 "tests"']
    return "\n".join(lines)


def _native(name: str, program: str, tests: str, nonce: str) -> Prepared:
    language = LANGUAGES[name]
    files = {
        language.source: f"{program}\n{_between(nonce, name == 'cpp')}\n{tests}\n",
        "harness.c": _harness("native.c", nonce),
    }
    ((*compiler, _, _, source), *_) = [[part for part in command if part != "-lm"] for command in language.build]
    build = [
        ["cc", "-O2", "-w", "-c", "-o", "harness.o", "harness.c"],
        [*compiler, "-o", "main", "harness.o", source, "-lm", "-Wl,--wrap=main", "-s"],
        ["rm", "-f", source, "harness.c", "harness.o"],
    ]
    return Prepared(files, build, list(language.run))


def _rust(program: str, tests: str, nonce: str) -> Prepared:
    tests = re.sub(r"\b(?:std::)?process::exit\s*\(", f"exit_from_tests_{nonce}(", tests)
    exits = (
        f'extern "C" {{ fn exit_{nonce}(status: i32) -> !; }}\n'
        f"#[allow(dead_code)] fn exit_from_tests_{nonce}(status: i32) -> ! {{ unsafe {{ exit_{nonce}(status) }} }}\n"
    )
    only_tests = "#[test]" in tests and not re.search(r"\bfn\s+main\s*\(", program + tests)
    files = {"main.rs": f"{program}\n{tests}\n{exits}", "harness.c": _harness("native.c", nonce)}
    (compiler,) = LANGUAGES["rust"].build
    linked = ["-C", "link-arg=harness.o", "-C", "link-arg=-Wl,--wrap=main", "-C", "strip=symbols"]
    build = [
        ["cc", "-O2", "-w", "-fPIC", "-c", "-o", "harness.o", "harness.c"],
        [*compiler, *linked, *(["--test"] if only_tests else [])],
        ["rm", "-f", "main.rs", "harness.c", "harness.o"],
    ]
    return Prepared(files, build, list(LANGUAGES["rust"].run))


def _javascript(program: str, tests: str, nonce: str) -> Prepared:
    files = {"program.js": program, "tests.js": tests, "run.js": _harness("run.js", nonce)}
    return Prepared(files, [], ["node", "run.js", nonce])


def _typescript(program: str, tests: str, nonce: str) -> Prepared:
    files = {
        "program.ts": f'{program}\n;"{nonce}";\n{tests}\n',
        "run.js": _harness("run.js", nonce),
        "node.d.ts": node_types(program + tests),
    }
    (compiler,) = LANGUAGES["typescript"].build
    build = [[part.replace("main.ts", "program.ts") for part in compiler], ["rm", "-f", "program.ts", "node.d.ts"]]
    return Prepared(files, build, ["node", "run.js", nonce])


def _bash(program: str, tests: str, nonce: str) -> Prepared:
    files = {
        "main.sh": _harness("run.sh", nonce),
        "program.sh": program + "\n",
        f"{nonce}.sh": f"rm -f ./{nonce}.sh\n{tests}\n",
    }
    return Prepared(files, [], ["bash", "main.sh"])


def _java(program: str, tests: str, nonce: str) -> Prepared:
    tests = re.sub(r"\bSystem\.exit\s*\(", f"Harness_{nonce}.exit(", tests)
    imports = "".join(line if line.endswith("\n") else line + "\n" for line in _IMPORT.findall(tests))
    source = f"{imports}{program}\n{_IMPORT.sub('', tests)}\n"
    file, main = java_names(source)
    harness = _harness("Harness.java", nonce).replace("@MAIN@", main)
    (compiler,) = LANGUAGES["java"].build
    build = [
        [*(part for part in compiler if not part.endswith(".java")), f"{file}.java", f"Harness_{nonce}.java"],
        ["rm", "-f", f"{file}.java", f"Harness_{nonce}.java"],
    ]
    run = ["--add-opens=java.base/java.io=ALL-UNNAMED", f"Harness_{nonce}"]
    return Prepared(
        {f"{file}.java": source, f"Harness_{nonce}.java": harness}, build, [*LANGUAGES["java"].run[:-1], *run]
    )


def _go(program: str, tests: str, nonce: str) -> Prepared:
    tests = re.sub(r"\bos\.Exit\(", f"exit_{nonce}(os.Exit, ", tests)
    uses_testing = bool(re.search(r"^func Test\w*\(\w+ \*testing\.T\)", tests, re.M))
    apart = bool(re.search(r"^(?:package|import)\b", tests, re.M))
    named = _PACKAGE.search(tests) or _PACKAGE.search(program)
    package = named[0] if named and uses_testing else "package main"
    program, tests = _PACKAGE.sub("", program), _PACKAGE.sub("", tests)
    harness = _PACKAGE.sub(package, _harness("harness.go", nonce))
    if uses_testing:
        end = f"\nfunc TestMain(m *testing.M) {{\n\tcode := m.Run()\n\treport_{nonce}(code)\n\tos.Exit(code)\n}}\n"
        files = {"harness_test.go": harness.replace('import "os"', 'import (\n\t"os"\n\t"testing"\n)') + end}
    else:
        main = re.compile(r"^func main\(\)", re.M)
        program, tests = (main.sub(f"func main_{nonce}()", text) for text in (program, tests))
        files = {"harness.go": f"{harness}\nfunc main() {{\n\tmain_{nonce}()\n\treport_{nonce}(0)\n}}\n"}
    ending = "_test.go" if uses_testing else ".go"
    if apart:
        # A package `x_test` is one of tests alone.
        place = f"program{ending if package.endswith('_test') else '.go'}"
        files |= {place: f"{package}\n{program}\n", f"tests{ending}": f"{package}\n{tests}\n"}
    else:
        files |= {f"program{ending}": f"{package}\n{program}\n{tests}\n"}
    command = ["go", "test", "-vet=off", "-c", "-o", "main"] if uses_testing else ["go", "build", "-o", "main"]
    return Prepared(files, [[*command, *sorted(files)], ["rm", "-f", *files]], list(LANGUAGES["go"].run))


_PREPARE: Mapping[str, Callable[[str, str, str], Prepared]] = {
    "c": lambda *texts: _native("c", *texts),
    "cpp": lambda *texts: _native("cpp", *texts),
    "rust": _rust,
    "javascript": _javascript,
    "typescript": _typescript,
    "bash": _bash,
    "java": _java,
    "go": _go,
}
