"""Rows that give a benchmark away: by text, by paraphrase, by behaviour."""
