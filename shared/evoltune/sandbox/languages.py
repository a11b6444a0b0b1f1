"""Programming languages: one table entry each, with everything that is known of a language.

Output of a program is compared outside of it. Tests written in the program's own language share its process (`own_tests`).
Invariant: nothing beside this table knows how a language is named, fenced, compiled or run.

    canonical("C++")                              # "cpp"
    defines("go", "func add(a int) int {", "add") # True
    missing("rust")                               # "language 'rust' needs rustc, which is in none of ..."
"""

import os
import re
import sys
from dataclasses import dataclass
from functools import lru_cache

COMPILE_S = 30.0
"""CPU seconds that compiling may take; a program's own limit starts afterwards."""
ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/local/go/bin",
    "HOME": "/tmp",
    "TMPDIR": "/tmp",
    "LANG": "C.UTF-8",
}


@dataclass(frozen=True, kw_only=True)
class Language:
    """How programs of a language are recognised in a response, and built and run in an empty folder."""

    names: tuple[str, ...]
    """What people call it, in lower case: also the tags of fenced blocks and the ending of its files."""
    source: str
    run: tuple[str, ...]
    """`{memory_mb}` stands for the memory limit, `{file}` and `{main}` for what `java_names` says."""
    tools: tuple[str, ...] = ()
    build: tuple[tuple[str, ...], ...] = ()
    address_space: bool = True
    """False: the run time reserves far more than it uses, so only its resident memory counts."""
    environment: tuple[tuple[str, str], ...] = ()
    definition: str
    """Pattern of a definition of NAME."""
    program: str
    """Pattern that a whole program has and an example of its use lacks: how it starts, or reads its input."""
    header: str = r"(?!)"
    """Pattern of a line that must come before what uses it: an include, an import."""
    fails: str = r""
    """Pattern of the ways in which tests of this language can fail; empty: the status of any command does it."""
    judged_by: frozenset[str] = frozenset()
    """Names of the language and its library by which tests judge, where a program could define them anew."""

    @property
    def compile_s(self) -> float:
        return COMPILE_S if self.build else 0.0


def _names(words: str) -> frozenset[str]:
    return frozenset(words.split())


_C_FAILS = r"\b\w*(?:assert|check|expect|require|fail)\w*\s*\(|\babort\b|\b_?exit\b|\b_Exit\b|\bthrow\b|\braise\b|\breturn\b(?!\s*(?:0|EXIT_SUCCESS)\s*;)"
_C_JUDGES = _names("strcmp strncmp strcasecmp memcmp strlen strstr strchr fabs fabsf abs labs llabs round isnan isinf")
_JS_FAILS = r"assert|throw|expect|should|exit|reject|fail|\bt\.\w+\("
_C_DEFINITION = (
    r"^(?![ \t]*(?:return|else|throw|new)\b)(?:[\w:<>,&*\[\]()~]+[ \t\n]+)+[*&]*(?:\w+::)?NAME[ \t]*\([^;{}]*\)[^;{}()]*\{|"
    r"^[ \t]*(?:typedef )?(?:struct|class|union|enum)[ \t]+NAME\b[^;()]*\{|^[ \t]*#[ \t]*define[ \t]+NAME\b|\bauto[ \t]+NAME[ \t]*=[ \t]*\["
)
_JS_DEFINITION = r"\b(?:function[ \t]*\*?|class)[ \t]+NAME\b|\b(?:const|let|var)[ \t]+NAME\b|^[ \t]*NAME[ \t]*=[^=]|\bexports\.NAME[ \t]*="
_JS_PROGRAM = r"\bstdin\b|\breadline\b|readFileSync\(\s*0|\bprompt\("
_JS_HEADER = r"[ \t]*(?:import\b.*|(?:const|let|var)\b.*\brequire\(.*|['\"]use strict['\"];?)$"
_CC, _CXX = ("cc", "-O2", "-std=gnu17", "-w"), ("c++", "-O2", "-std=gnu++17", "-w")
_NODE = ("node", "main.js")

LANGUAGES: dict[str, Language] = {
    "python": Language(
        names=("python", "py", "python3", "py3", "ipython", "cpython", "pypy", "pypy3"), source="main.py", run=(sys.executable, "main.py"),
        environment=(("PYTHONHASHSEED", "0"), ("MALLOC_ARENA_MAX", "2")),  # as the workers: sets have one order; an arena takes 64 MiB
        definition=r"^[ \t]*(?:async[ \t]+)?(?:def|class)[ \t]+NAME\b|^NAME[ \t]*(?::[^=\n]*)?=[^=]",
        program=r"\binput\s*\(|\bstdin\b", header=r"(?:import|from)\b.*$",
    ),
    "javascript": Language(
        names=("javascript", "js", "node", "nodejs", "node.js", "mjs", "cjs", "es", "ecmascript", "jsx"),
        source="main.js", run=_NODE, tools=("node",), address_space=False, definition=_JS_DEFINITION, program=_JS_PROGRAM, header=_JS_HEADER, fails=_JS_FAILS,
    ),
    "typescript": Language(
        names=("typescript", "ts", "tsx", "mts"), source="main.ts", run=_NODE, tools=("tsc", "node"), address_space=False,
        build=(("tsc", "--target", "es2020", "--lib", "es2022", "--module", "commonjs", "--esModuleInterop", "main.ts", "node.d.ts"),),
        definition=_JS_DEFINITION + r"|\b(?:interface|type|enum)[ \t]+NAME\b", program=_JS_PROGRAM, header=_JS_HEADER, fails=_JS_FAILS,
    ),
    "c": Language(
        names=("c", "h", "gcc", "ansi-c"), source="main.c", build=((*_CC, "-o", "main", "main.c", "-lm"),), run=("./main",), tools=("cc",),
        definition=_C_DEFINITION, program=r"\bmain\s*\(", header=r"[ \t]*#[ \t]*(?:include|define)\b.*$", fails=_C_FAILS,
        judged_by=_C_JUDGES,
    ),
    "cpp": Language(
        names=("cpp", "c++", "cc", "cxx", "hpp", "g++", "cplusplus"), source="main.cpp", build=((*_CXX, "-o", "main", "main.cpp"),),
        run=("./main",), tools=("c++",), definition=_C_DEFINITION, program=r"\bmain\s*\(",
        header=r"[ \t]*(?:#[ \t]*(?:include|define)\b.*|using\b[^={]*;.*)$", fails=_C_FAILS, judged_by=_C_JUDGES,
    ),
    "bash": Language(
        names=("bash", "sh", "shell", "zsh", "shellscript", "shell-script"), source="main.sh", run=("bash", "main.sh"), tools=("bash",),
        definition=r"^[ \t]*(?:function[ \t]+)?NAME[ \t]*\(\)|^[ \t]*function[ \t]+NAME\b",
        program=r"\bread\b|\bcat\b|\bawk\b|\bsed\b|\btr\b|\bmapfile\b|\bbc\b|/dev/stdin", header=r"#!.*$",
        judged_by=_names("grep diff cmp comm test true false expr set awk sed sort uniq tr cut wc head tail cat echo printf bc jq eval declare"),
    ),
    "java": Language(
        names=("java", "jdk", "openjdk"), source="{file}.java", build=(("javac", "-nowarn", "-encoding", "UTF-8", "-d", ".", "{file}.java"),),
        run=("java", "-Xmx{memory_mb}m", "-Xss64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-ea", "-cp", ".", "{main}"),
        tools=("javac", "java"), address_space=False,
        definition=r"\b(?:class|interface|enum|record)[ \t]+NAME\b|^[ \t]*(?!return\b|new\b|else\b)[\w<>\[\], ?]+[ \t]NAME[ \t]*\([^;{}]*\)[^;{}()]*\{",
        program=r"\bmain\s*\(", header=r"[ \t]*(?:import|package)\b.*;.*$", fails=r"\bassert|\bthrow\b|\bexit\b|\bfail\w*\(|\bhalt\(",
        judged_by=_names(
            "Objects Arrays Collections List Set Map Math Object String Integer Long Double Boolean Character System Collectors Optional "
            "AssertionError RuntimeException IllegalStateException Exception Error Throwable"
        ),
    ),
    "go": Language(
        names=("go", "golang"), environment=(("GO111MODULE", "off"), ("CGO_ENABLED", "0"), ("GOFLAGS", "-p=2")), source="main.go", build=(("go", "build", "-o", "main", "main.go"),), run=("./main",), tools=("go",),
        address_space=False, definition=r"\bfunc[ \t]+(?:\([^)]*\)[ \t]*)?NAME[ \t]*[\[(]|\btype[ \t]+NAME\b|\b(?:var|const)[ \t]+NAME\b",
        program=r"\bfunc\s+main\s*\(", header=r"[ \t]*(?:package\b.*|import[ \t]+\".*)$",
        fails=r"\bpanic\b|\bExit\(|\b(?:t|log|b)\.\w+\(|\b(?:assert|require)\b", judged_by=_names("panic true false nil len append error"),
    ),
    "rust": Language(
        names=("rust", "rs"), source="main.rs", run=("./main",), tools=("rustc", "cc"),
        build=(("rustc", "--edition=2021", "-O", "-A", "warnings", "-o", "main", "main.rs"),),
        definition=r"\bfn[ \t]+NAME\b|\b(?:struct|enum|trait|type|const|static)[ \t]+NAME\b|\bmacro_rules![ \t]*NAME\b", program=r"\bfn\s+main\s*\(",
        header=r"[ \t]*(?:use|extern crate)\b.*;.*$", fails=r"\b\w*assert\w*!|\bpanic!|\bunreachable!|\bexit\(|\.unwrap\(|\.expect\(|\bErr\b|should_panic",
        judged_by=_names("assert assert_eq assert_ne debug_assert debug_assert_eq panic matches unreachable"),
    ),
}  # fmt: skip
_NODE_NAMES = _names(
    "require module exports process console Buffer global __dirname __filename setTimeout setInterval setImmediate clearTimeout "
    "clearInterval clearImmediate queueMicrotask performance structuredClone fetch URL URLSearchParams TextEncoder TextDecoder AbortController"
)
"""What Node gives a program beside the language's own library."""
_NODE_MODULES = """declare namespace NodeJS { type Timeout = any; type Immediate = any; type ErrnoException = any; }
declare module "*";
declare module "readline" {
  export type Interface = any; export type ReadLine = any;
  export const createInterface: any, clearLine: any, cursorTo: any, moveCursor: any, emitKeypressEvents: any, promises: any;
  const all: any; export default all;
}
"""
"""Modules of any type; types that programs name by their module must be there by name."""
_TS_DECLARED = re.compile(
    r"\b(?:const|let|var)\s+(?:(\w+)|[{\[]([^}\]]*)[}\]])|\b(?:function\s*\*?|class|interface|type|enum|namespace)\s+(\w+)"
)
_JAVA_PARTS = re.compile(
    r"//[^\n]*|/\*.*?\*/|\"\"\".*?\"\"\"|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'|[{}]|"
    r"(?P<public>\bpublic\s+)?(?:(?:final|abstract|sealed|strictfp|static)\s+)*\b(?:class|interface|enum|record)\s+(?P<type>\w+)|"
    r"(?P<main>\bstatic\s+(?:final\s+)?void\s+main\s*\()", re.S,
)  # fmt: skip
_BY_NAME = {name: key for key, language in LANGUAGES.items() for name in language.names}


@lru_cache(maxsize=256)
def canonical(name: str) -> str:
    """The table's name of a language as people write it (`C++`, ` JS`, `Python 3.11`, `GNU C++17 (64 bit)`); an unknown name comes back
    in lower case, and so does Python 2, another language."""
    lowered = name.strip().lower()
    bare = re.sub(r"\s*\([^()]*\)$", "", lowered).removeprefix("gnu ")
    word = bare
    while word not in _BY_NAME and (shorter := re.sub(r"[\s-]*v?\d[\d.-]*$", "", word)) != word:
        word = shorter
    found = _BY_NAME.get(lowered) or _BY_NAME.get(word) or lowered
    return lowered if found == "python" and re.match(r"[\s-]*v?2", bare[len(word) :]) else found


def tags(name: str) -> frozenset[str]:
    """The tags of a language's fenced blocks; a language that is not in the table is its own tag."""
    language = LANGUAGES.get(name)
    return frozenset(language.names if language else (name,))


def defines(name: str, code: str, symbol: str) -> bool:
    """Whether code of a language defines a function, class or value of this name, rather than only using it."""
    return bool(_definition(name, re.escape(symbol)).search(code))


def defined_names(name: str, code: str) -> set[str]:
    """Names that the code defines, as far as patterns tell."""
    return {
        found[group] for found in _definition(name, "").finditer(code) for group in found.groupdict() if found[group]
    }


@lru_cache(maxsize=256)
def _definition(name: str, symbol: str) -> re.Pattern[str]:
    pattern = LANGUAGES[name].definition if name in LANGUAGES else r"\bNAME\b"
    parts = pattern.split("NAME")
    if symbol:
        return re.compile(symbol.join(parts), re.M)
    groups = (f"(?P<n{i}>[A-Za-z_]\\w*)" for i in range(len(parts) - 1))
    return re.compile("".join(p + next(groups, "") for p in parts), re.M)


def java_names(program: str) -> tuple[str, str]:
    """The file that a Java source must stand in (named after its public class) and the class whose `main` is run."""
    depth, file, main, current = 0, "", "", "Main"
    for found in _JAVA_PARTS.finditer(program):
        if found[0] in "{}":
            depth += 1 if found[0] == "{" else -1
        elif found["type"] and depth == 0:
            current = found["type"]
            file = file or (current if found["public"] else "")
        elif found["main"]:
            main = main or current
    return file or "Main", main or current


def node_types(program: str) -> str:
    """Declarations of what Node gives a TypeScript program, of any type; without the names that it declares itself."""
    own = {found for groups in _TS_DECLARED.findall(program) for found in re.findall(r"\w+", " ".join(groups))}
    names = "".join(f"declare var {name}: any;\n" for name in sorted(_NODE_NAMES - own))
    types = "".join(f"type {name} = any;\n" for name in ("Buffer", "URL") if name not in own)
    return names + types + _NODE_MODULES


def command(parts: tuple[str, ...], program: str, memory_mb: int) -> list[str]:
    """A command of the table with its placeholders filled in."""
    file, main = java_names(program) if any("{file}" in part or "{main}" in part for part in parts) else ("", "")
    return [
        part.replace("{file}", file).replace("{main}", main).replace("{memory_mb}", str(memory_mb)) for part in parts
    ]


def missing(name: str) -> str:
    """Why programs of this language cannot be run here; empty when they can."""
    language = LANGUAGES.get(name)
    if language is None:
        return f"language {name!r} is unknown: allowed: {', '.join(LANGUAGES)}"
    if not language.tools:
        return ""
    import shutil  # late: it would bring three compression libraries into every fork

    lacking = [tool for tool in language.tools if not _is_in_reach(shutil.which(tool, path=ENVIRONMENT["PATH"]))]
    places = ENVIRONMENT["PATH"].replace(":", ", ")
    return f"language {name!r} needs {' and '.join(lacking)}, which is in none of {places} (programs do not see tools in home folders)" if lacking else ""  # fmt: skip


def _is_in_reach(tool: str | None) -> bool:
    """Whether a tool, and what a link leads to, lies in the folders that programs see."""
    return tool is not None and os.path.realpath(tool).startswith(("/usr/", "/bin/", "/sbin/", "/lib"))
