"""Languages beside Python: a table of how to build and run a program.

A language is one `Language(...)` in `LANGUAGES`; Java would be
`Language(source="Main.java", build=(("javac", "Main.java"),), run=("java", "Main"), tools=("javac", "java"), address_space=False)`.

Tests written in the language itself are appended to the program and share its process: they find honest mistakes, but do
not stop a program that cheats (the evidence says `judge: same process`). Output is compared outside, as for Python.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Language:
    """How a program of this language is built and run, in an empty folder."""

    source: str
    run: tuple[str, ...]
    tools: tuple[str, ...]
    build: tuple[tuple[str, ...], ...] = ()
    compile_s: float = 0.0
    address_space: bool = True
    """False: the run time reserves far more than it uses, so only its resident memory counts."""


LANGUAGES: dict[str, Language] = {
    "javascript": Language(source="main.js", run=("node", "main.js"), tools=("node",), address_space=False),
    "c": Language(source="main.c", build=(("cc", "-O1", "-std=gnu17", "-o", "main", "main.c", "-lm"),), run=("./main",), tools=("cc",), compile_s=20),
    "cpp": Language(source="main.cpp", build=(("c++", "-O1", "-std=gnu++17", "-o", "main", "main.cpp"),), run=("./main",), tools=("c++",), compile_s=30),
    "bash": Language(source="main.sh", run=("bash", "main.sh"), tools=("bash",)),
}  # fmt: skip
ALIASES = {"js": "javascript", "c++": "cpp", "sh": "bash", "shell": "bash"}
ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/tmp", "TMPDIR": "/tmp", "LANG": "C.UTF-8"}


def named(name: str) -> Language | None:
    """The language of this name or alias; None for Python and for unknown names."""
    return LANGUAGES.get(ALIASES.get(name, name))


def missing(name: str) -> str:
    """Why programs of this language cannot be run here; empty when they can."""
    import shutil  # late: it would bring three compression libraries into every fork

    language = named(name)
    if language is None:
        return f"language {name!r} is unknown: allowed: {', '.join(['python', *LANGUAGES])}"
    lacking = [tool for tool in language.tools if not shutil.which(tool, path=ENVIRONMENT["PATH"])]
    return f"language {name!r} needs {' and '.join(lacking)}, which this host lacks" if lacking else ""
