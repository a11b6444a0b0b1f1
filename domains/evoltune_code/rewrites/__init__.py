"""Operators that edit a reference solution first; the tests of the new exercise are made by running it in the sandbox."""
