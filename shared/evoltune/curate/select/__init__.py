"""Choosing rows: quality, diversity, quotas, LIMA's rules."""
