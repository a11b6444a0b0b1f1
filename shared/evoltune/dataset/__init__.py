"""The dataset that a run writes: Parquet, mix, card, export."""
