"""Elimination as named rules."""
