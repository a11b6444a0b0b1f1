"""Evol-Instruct: instructions grown from seeds by a teacher, and the rules that drop failures."""
