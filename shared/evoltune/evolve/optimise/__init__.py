"""The optimiser of evolution prompts: an Auto Evol-Instruct loop (2406.00770) whose objective is measured, not guessed from words."""
