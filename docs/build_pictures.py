"""Draws docs/pictures/peers.svg from the first table of docs/benchmarks.md.

    python docs/build_pictures.py

`tests/test_docs.py` fails while the picture differs from the table.
"""

import re
from pathlib import Path

import vl_convert

DOCS = Path(__file__).resolve().parent


def peers() -> list[dict[str, str | float]]:
    """Rows of the table: job, peer, times."""
    text = (DOCS / "benchmarks.md").read_text(encoding="utf-8")
    found = re.findall(r"^\| ([^|]+) \| ([^|]+) \| ([\d.]+) \| ([^|]+) \| `benchmarks/", text, re.MULTILINE)
    return [
        {"job": f"{job}, {unit}", "peer": f"{times}x {peer}", "times": float(times)} for job, peer, times, unit in found
    ]


def picture() -> str:
    """The SVG: one bar a job on a logarithmic axis, since the largest ratio is fifty times the smallest."""
    y = {"field": "job", "type": "nominal", "sort": None, "title": None, "axis": {"labelLimit": 360}}
    x = {"field": "times", "type": "quantitative", "scale": {"type": "log", "domain": [1, 1000]},
         "title": "times faster than the peer (logarithmic)"}  # fmt: skip
    specification = {
        "data": {"values": peers()},
        "width": 380,
        "height": {"step": 26},
        "background": "white",
        "encoding": {"y": y, "x": x},
        "layer": [
            {"mark": {"type": "bar", "color": "#4c78a8"}},
            {"mark": {"type": "text", "align": "left", "dx": 4}, "encoding": {"text": {"field": "peer"}}},
        ],
    }
    return vl_convert.vegalite_to_svg(specification)


if __name__ == "__main__":
    (DOCS / "pictures" / "peers.svg").write_text(picture() + "\n", encoding="utf-8")
