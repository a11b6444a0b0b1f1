"""Reinforcement learning by maintained trainers: what each of them reads, and rewards in the form in which each calls them."""
