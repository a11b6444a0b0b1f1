"""Loading of domains by name, attribute and path, the hash of their source, their policies, and rows as tasks."""

import sys

import pytest

from evoltune.domain import Domain, check_policy, load_domain, policy_of, source_hash, to_task
from evoltune.errors import DataError, DomainError
from evoltune.record import Verdict

SOURCE = """
from evoltune import Domain, Verdict
domain = Domain(name="{name}", seeds=list, operators=(), verify=lambda *_: Verdict(status="pass"){more})
"""
PLAIN = SOURCE.format(name="toy", more="")
TOY = Domain(
    name="toy", seeds=list, operators=(), verify=lambda *_: Verdict(status="pass"),
    columns=("entry_point",), policy={"units": "agree"},
)  # fmt: skip


@pytest.fixture
def package(tmp_path):
    """Writes a domain package and returns its folder."""

    def write(source=PLAIN, folder="project", name="loaded_by_tests"):
        path = tmp_path / folder / name
        path.mkdir(parents=True)
        (path / "__init__.py").write_text(source)
        return path

    yield write
    for name in [n for n in sys.modules if n.startswith("loaded_by_tests")]:
        del sys.modules[name]


def test_a_domain_loads_by_package_by_project_and_by_attribute(package):
    folder = package()
    loaded = load_domain(str(folder))
    assert loaded is load_domain(str(folder.parent)) is load_domain("loaded_by_tests:domain")
    assert load_domain("math").name == "math"


def test_a_folder_beside_the_caller_does_not_hide_a_domain_of_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "math").mkdir()
    assert load_domain("math").name == "math"


def test_packages_of_one_name_in_two_places_are_told_apart(package):
    one, two = (package(SOURCE.format(name=n, more=""), folder=n) for n in ("one", "two"))
    assert [load_domain(str(p)).name for p in (one, two, one)] == ["one", "two", "one"]


@pytest.mark.parametrize(
    ("ref", "message"),
    [
        ("maths", "did you mean 'math'"),
        ("evoltune_math:domains", "has no attribute 'domains'"),
        ("no_such_module:domain", "cannot be imported"),
        ("/no/such/folder", "is not a folder"),
    ],
)
def test_a_reference_that_names_no_domain_is_refused(ref, message):
    with pytest.raises(DomainError, match=message):
        load_domain(ref)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import sys; sys.exit(0)", "cannot be imported: it called sys.exit"),
        ("1 / 0", "cannot be imported: it raised ZeroDivisionError"),
        ("x = 1", "no package with an attribute `domain`"),
        ("domain = 3", "is a int, not an evoltune.Domain"),
        (SOURCE.format(name="toy", more=", api_version=99"), "has api_version 99"),
    ],
    ids=["exits", "raises", "has no domain", "another type", "another version"],
)
def test_a_package_that_is_no_domain_is_refused(package, source, message):
    with pytest.raises(DomainError, match=message):
        load_domain(str(package(source)))


def test_the_source_hash_changes_with_any_python_file_of_the_package(package):
    folder = package("from loaded_by_tests.verifier import verify\n" + SOURCE.replace("lambda *_: Verdict(status=\"pass\")", "verify").format(name="toy", more=""))  # fmt: skip
    verifier = folder / "verifier.py"
    verifier.write_text("def verify(task, candidate, context): return None\n")
    domain = load_domain(str(folder))
    before = source_hash(domain)
    assert before == source_hash(domain)
    verifier.write_text("def verify(task, candidate, context): return 1\n")
    changed = source_hash(domain)
    assert changed != before
    (folder / "known_answers.yaml").write_text("[]")  # only a check of the domain reads it
    assert source_hash(domain) == changed
    (folder / "rows.yaml").write_text("[]")
    assert source_hash(domain) != changed


def test_a_policy_overlays_the_defaults_and_an_unknown_one_is_refused():
    assert policy_of(TOY, {"units": "ignore"}) == {"units": "ignore"} and policy_of(TOY, {}) == {"units": "agree"}
    with pytest.raises(DomainError, match=r"verify\.policy\.unit: .*did you mean 'units'"):
        policy_of(TOY, {"unit": "ignore"})


def test_a_list_that_is_written_as_a_text_is_refused_with_its_form():
    with pytest.raises(DomainError, match=r"must be a list, as in packages=\['numpy'\]$"):
        check_policy(load_domain("code"), {"packages": "numpy,pandas"})


def test_a_row_becomes_a_task_with_the_columns_of_the_domain():
    row = {"question": "q", "reference": 1.5, "tests": ["t"], "entry_point": "f", "other": 1, "id": 7}
    task = to_task(TOY, row)
    assert (task.instruction, task.reference, task.tests, task.name) == ("q", "1.5", ["t"], "7")
    assert task.fields == {"entry_point": "f"}


@pytest.mark.parametrize("reference", [True, ["1"], {"a": 1}])
def test_a_reference_that_is_neither_text_nor_number_is_refused(reference):
    with pytest.raises(DataError, match="file:3: column 'reference' is a"):
        to_task(TOY, {"reference": reference}, "file:3")
