"""Judging in one process: the program and its tests run in one interpreter, as `python -m pytest` would run them.

Used where tests touch what does not survive a copy to another process: identity, classes, exceptions, state (`reading`
decides, by the tests alone). Modules of this package but `reading` and `private` are loaded a second time in each solution
process, under no name and with built-ins of their own (`private`), before the program runs: nothing that a program can
import, patch or list leads to these copies.
"""
