"""Evaluation: suites, profiles, scores with intervals, comparisons. See docs/evaluate.md. Imports no torch."""
