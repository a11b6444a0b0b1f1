"""One set of generations under several profiles: disagreements, and what is refused before any judging."""

from __future__ import annotations

import pytest

from evoltune.errors import DataError
from evoltune.evaluate.rescore import report, rescore
from evoltune.recipe import Verification

VERIFY = Verification(workers=2)


def test_a_panel_lists_the_disagreements_and_the_sound_scorer_decides(tmp_path, sums, answers):
    texts = answers("so #### 2", "The answer is 2", "#### 2.0")
    panel = rescore(sums, texts, ("gsm8k-strict", "gsm8k-flexible", "sound"), VERIFY, tmp_path)
    wrong = {row["sample"]: row["wrong"] for row in panel.disagreements}
    assert panel.arbiter == "math/sound@1" and wrong[1] == ["math/gsm8k-strict@1"]
    assert wrong[2] == ["math/gsm8k-strict@1", "math/gsm8k-flexible@1"]
    lines = "\n".join(report(panel))
    assert "2 samples on which the profiles disagree" in lines and "math/gsm8k-strict@1: differs on 2" in lines


def test_k_above_the_samples_is_refused_before_anything_is_judged(tmp_path, sums, answers):
    with pytest.raises(DataError, match="pass@2 needs at least 2 samples"):
        rescore(sums, answers("2"), ("sound",), VERIFY, tmp_path / "out", ks=(1, 2))
    assert not (tmp_path / "out").exists()
