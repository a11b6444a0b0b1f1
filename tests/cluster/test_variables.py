"""`compute.env`: values are taken from the environment, and no secret is written anywhere."""

from __future__ import annotations

import os
import stat

import pytest
import yaml

from evoltune.cluster.slurm import submit
from evoltune.cluster.variables import chosen_variables, written_variables
from evoltune.errors import RecipeError
from evoltune.recipe import dump_recipe, load_recipe, make_recipe
from evoltune.text.credentials import CUT, forget_secrets, without_credentials
from evoltune.train.launch_command import slurm_script

GIVEN = "compute.env={WANDB_API_KEY: '${MY_KEY}', HF_HOME: '${SCRATCH}/hub', HTTPS_PROXY: 'http://ada:${MY_PASSWORD}@proxy:3128', N: '0'}"
VARIABLES = {"MY_KEY": "7f3a-of-wandb", "SCRATCH": "/scratch/ada", "MY_PASSWORD": "lighthouse-9"}


@pytest.fixture
def recipe(monkeypatch):
    forget_secrets()
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    return load_recipe("smoke/math", [GIVEN])


def test_names_stand_for_variables_of_the_environment_also_in_the_kept_recipe(recipe):
    wanted = {
        "WANDB_API_KEY": "7f3a-of-wandb", "HF_HOME": "/scratch/ada/hub", "HTTPS_PROXY": "http://ada:lighthouse-9@proxy:3128", "N": "0",
    }  # fmt: skip
    assert chosen_variables(recipe) == wanted
    kept = dump_recipe(recipe)
    assert not [value for value in ("7f3a-of-wandb", "lighthouse-9", "/scratch") if value in kept]
    assert chosen_variables(make_recipe(yaml.safe_load(kept))) == wanted
    assert without_credentials("7f3a-of-wandb in /scratch/ada/hub") == f"{CUT} in /scratch/ada/hub"


def test_a_variable_that_is_not_set_is_told_before_anything_is_paid(recipe, monkeypatch):
    monkeypatch.delenv("MY_KEY")
    with pytest.raises(RecipeError, match=r"compute.env.WANDB_API_KEY: the environment variable 'MY_KEY' is not set"):
        chosen_variables(recipe)


def test_what_was_cut_out_of_a_kept_recipe_is_taken_from_the_environment_or_missed(monkeypatch):
    kept = dump_recipe(load_recipe("smoke/math", ["compute.env={HF_TOKEN: abc, HTTPS_PROXY: 'http://ada:pw@proxy'}"]))
    recipe = make_recipe(yaml.safe_load(kept))
    monkeypatch.setenv("HF_TOKEN", "another")
    monkeypatch.delenv("HTTPS_PROXY", raising=False)
    with pytest.raises(RecipeError, match=r"compute\.env: HTTPS_PROXY: cut out"):
        chosen_variables(recipe)
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy")
    assert chosen_variables(recipe) == {}


def test_slurm_gets_them_through_the_environment_of_sbatch(recipe, tmp_path, monkeypatch):
    assert written_variables(recipe) == {"N": "0"}
    sbatch = tmp_path / "bin" / "sbatch"
    sbatch.parent.mkdir()
    sbatch.write_text(f"#!/bin/sh\nenv > {tmp_path}/env; echo 7\n")
    sbatch.chmod(sbatch.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setenv("PATH", f"{sbatch.parent}:{os.environ['PATH']}")
    submit(recipe, tmp_path / "run", ["evolve"])
    passed = dict(line.split("=", 1) for line in (tmp_path / "env").read_text().splitlines() if "=" in line)
    assert passed.items() >= chosen_variables(recipe).items()
    written = [
        slurm_script(tmp_path / "job.json", recipe),
        *(p.read_text() for p in (tmp_path / "run").rglob("*") if p.is_file()),
    ]
    assert not [secret for secret in VARIABLES.values() for text in written if secret in text]
