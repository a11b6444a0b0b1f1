"""The LLM that rewrites, judges and answers: one small protocol, and wrappers that compose."""
