"""A base model: find it, load it, its shapes and memory, its chat template and the proof of that template; chat, serve, merge."""
