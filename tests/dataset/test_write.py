"""The written dataset: splits, columns, chosen answers, provenance, exports, atomicity."""

import json

import pytest

from evoltune.curate.answers import chosen_answers
from evoltune.curate.certificate import build_certificate
from evoltune.curate.difficulty import difficulty, level_of
from evoltune.curate.licences import licence_of, refusal, terms_of
from evoltune.dataset.export import FORMS, push_to_hub, write_jsonl
from evoltune.dataset.schema import to_rows
from evoltune.dataset.write import split_of, write_dataset
from evoltune.errors import DataError
from evoltune.recipe import Curate, Recipe, Seeds, Teacher, Verification
from evoltune.record import Answer, Record, Task, Verdict
from evoltune.rows.readers import read_rows

PASS, FAIL, UNKNOWN = (Verdict(status=s) for s in ("pass", "fail", "unverifiable"))
PROOF = build_certificate({}, {}, rows={}, hits=[])


def record(i=0, answers=(("a", PASS),), **more):
    made = tuple(Answer(text=text, model="seed", verdict=verdict) for text, verdict in answers)
    return Record(domain="toy", task=Task(instruction=f"task {i}", name=str(i), **more), answers=made)


def write(folder, records, **curate):
    recipe = Recipe(domain="toy", name="toy", curate=Curate(**curate), seeds=Seeds(licence="MIT"))
    return write_dataset(
        sorted(records, key=lambda r: r.id),
        folder,
        recipe,
        PROOF,
        {"verify": {"in": 3, "kept": 2, "fail": 1}},
    )


def test_rows_are_split_by_the_hash_of_their_id_alone(tmp_path):
    folder = write(tmp_path / "d", [record(i) for i in range(300)], validation=0.2)
    train, validation = (list(read_rows(folder / f"{s}.parquet")) for s in ("train", "validation"))
    assert len(train) + len(validation) == 300 and 30 <= len(validation) <= 90
    assert all(split_of(row["id"], 0.2) == "validation" for row in validation)
    assert split_of("abc.1", 0.5) == split_of("abc", 0.5)


def test_a_set_too_small_to_split_goes_to_train_whole(tmp_path):
    folder = write(tmp_path / "d", [record(i) for i in range(19)], validation=0.5)
    assert json.loads((folder / "manifest.json").read_text())["rows"] == {"train": 19, "validation": 0}


def test_the_first_answer_that_passes_is_the_output_and_a_knob_gives_several_rows():
    answers = (("wrong", FAIL), ("right", PASS), ("also right", PASS), ("right", PASS))
    one = list(to_rows(record(answers=answers), Recipe(domain="toy")))
    assert [row["output"] for row in one] == ["right"]
    several = list(to_rows(record(answers=answers), Recipe(domain="toy", curate=Curate(answers_per_task=5))))
    assert [row["output"] for row in several] == ["right", "also right"]
    assert [row["id"] for row in several] == [record(answers=answers).id, record(answers=answers).id + ".1"]


def test_an_unverified_answer_is_taken_only_where_the_recipe_keeps_its_status():
    unsure = record(answers=(("maybe", UNKNOWN),))
    assert list(to_rows(unsure, Recipe(domain="toy"))) == []
    keeping = Recipe(domain="toy", verify=Verification(keep=("pass", "unverifiable")))
    (row,) = to_rows(unsure, keeping)
    assert (row["output"], row["verified_by"], row["confidence"]) == ("maybe", "", 0.0)


def test_a_struck_answer_is_never_the_output():
    assert chosen_answers(record(answers=(("struck", FAIL),))) == []


def test_messages_hold_the_earlier_turns():
    turns = record(history=(("user", "one"), ("assistant", "two")))
    (row,) = to_rows(turns, Recipe(domain="toy"))
    assert [m["role"] for m in row["messages"]] == ["user", "assistant", "user", "assistant"]
    assert row["messages"][-1]["content"] == row["output"]


def test_difficulty_is_the_teachers_number_else_the_share_that_failed():
    judged = record(answers=(("a", PASS), ("b", FAIL)))
    rated = Record(
        domain="toy", task=Task(instruction="x"), evidence={"difficulty": ("Score: 8", "10/10", "about 3")}
    )
    assert difficulty(rated) == 8.0 and difficulty(judged) == 5.5 and difficulty(record()) is None
    assert [level_of(difficulty(r), r.round) for r in (record(), judged, rated)] == [
        "simple",
        "complex",
        "very complex",
    ]


def test_licence_and_terms_stand_on_each_row_and_gate_it():
    recipe = Recipe(
        domain="toy",
        seeds=Seeds(licence="MIT"),
        teacher=Teacher(terms="Apache-2.0"),
        curate=Curate(licences=("MIT", "CC0")),
    )
    seed, own = record(), record(fields={"licence": "GPL-3.0"})
    evolved = Record(domain="toy", task=Task(instruction="x"), operator="deepen", parents=(seed.id,))
    assert licence_of(seed, recipe) == "MIT" and terms_of(seed, recipe) == ""
    assert refusal(seed, recipe) == ""
    assert refusal(own, recipe) == "licence GPL-3.0 not allowed"
    assert refusal(evolved, recipe) == "teacher terms Apache-2.0 not allowed"
    assert refusal(own, Recipe(domain="toy")) == ""


def test_the_card_counts_rows_stages_and_licences_and_loads_with_datasets(tmp_path):
    folder = write(tmp_path / "d", [record(i) for i in range(40)])
    card = (folder / "README.md").read_text()
    assert (
        "| verify | 3 | 2 | 1 fail |" in card
        and "| MIT | 40 |" in card
        and card.startswith("---\nlicense: mit")
    )
    datasets = pytest.importorskip("datasets")
    loaded = datasets.load_dataset(str(folder), split="train", cache_dir=str(tmp_path / "cache"))
    assert loaded.column_names[:5] == ["id", "domain", "instruction", "input", "output"]


def test_the_manifest_is_written_last_and_names_the_hash_of_every_file(tmp_path):
    folder = write(tmp_path / "d", [record(i) for i in range(5)])
    names = set(json.loads((folder / "manifest.json").read_text())["files"])
    assert names == {"train.parquet", "validation.parquet", "certificate.json", "difficulty.svg", "README.md"}
    assert not list(folder.rglob("*.tmp"))
    broken = (r if i else 1 / 0 for i, r in enumerate([record()]))
    with pytest.raises(ZeroDivisionError):
        write_dataset(broken, folder, Recipe(domain="toy"), PROOF, {})


def test_a_writer_that_dies_leaves_no_manifest(tmp_path):
    folder = write(tmp_path / "d", [record(i) for i in range(5)])

    def dying():
        yield from (record(i) for i in range(50))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_dataset(dying(), folder, Recipe(domain="toy"), PROOF, {})
    assert not (folder / "manifest.json").exists()


def test_a_run_that_kept_nothing_says_what_to_do(tmp_path):
    with pytest.raises(DataError, match=r"no row was kept.*loosen verify\.keep"):
        write(tmp_path / "d", [record(answers=(("x", FAIL),))])


@pytest.mark.parametrize("form", sorted(FORMS))
def test_every_export_form_reads_back_to_the_same_conversation(tmp_path, form):
    from evoltune.rows.columns import recognise

    turns = record(1, history=(("user", "one"), ("assistant", "two")))
    folder = write(tmp_path / "d", [record(0), turns])
    assert write_jsonl(folder / "train.parquet", tmp_path / "out.jsonl", form) == 2
    read = {r.instruction: r for r in map(recognise, read_rows(tmp_path / "out.jsonl"))}
    assert read["task 0"].output == "a" and read["task 1"].output == "a"
    if form != "alpaca":
        assert read["task 1"].history == turns.task.history


def test_only_a_finished_dataset_of_ours_is_exported_or_pushed(tmp_path):
    (tmp_path / "x.jsonl").write_text('{"instruction": "a"}\n')
    with pytest.raises(DataError, match="not a dataset written by evoltune"):
        write_jsonl(tmp_path / "x.jsonl", tmp_path / "o.jsonl", "chat")
    with pytest.raises(DataError, match="only a finished dataset is pushed"):
        push_to_hub(tmp_path, "someone/something")
