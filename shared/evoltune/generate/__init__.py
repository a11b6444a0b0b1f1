"""Completions from a model: transformers, vLLM, an HTTP server, or generators on a Ray cluster."""
