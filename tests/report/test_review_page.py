"""The review page of a selection, and the decisions that it saves."""

import pytest

from evoltune.curate.sources import read_decisions
from evoltune.errors import DataError
from evoltune.report.review_page import write_review


def test_the_review_page_escapes_everything_and_its_decisions_read_back(tmp_path):
    evil = "</script><img src=x onerror=alert(1)>"
    write_review(tmp_path / "r.html", evil, [{"id": evil, "source": "s", "instruction": evil, "output": evil}])
    page = (tmp_path / "r.html").read_text()
    assert "<img" not in page and page.count("</script>") == 1 and "default-src 'none'" in page
    (tmp_path / "d.json").write_text('{"a": "accept", "b": "reject", "c": ""}')
    assert read_decisions(tmp_path / "d.json") == ({"a"}, {"b"})
    (tmp_path / "d.json").write_text('["a"]')
    with pytest.raises(DataError, match="must map ids"):
        read_decisions(tmp_path / "d.json")
