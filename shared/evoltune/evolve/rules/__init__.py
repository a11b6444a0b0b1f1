"""Elimination: named rules for instructions and answers that evolution must not keep; `registry` lists them all."""
