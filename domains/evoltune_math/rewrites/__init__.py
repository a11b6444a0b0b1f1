"""Operators that edit the worked solution of a word problem first; the new reference is computed from it."""
