"""Datasets: readers for what people have, seeds, and the dataset that a run writes (`evoltune.dataset.write`).

Imports no pyarrow and no datasets until a Parquet file or a hub id is touched.
"""

from evoltune.dataset.readers import BadRow, read_located, read_rows
from evoltune.dataset.seeds import read_records, seed_records

__all__ = ["BadRow", "read_located", "read_records", "read_rows", "seed_records"]
