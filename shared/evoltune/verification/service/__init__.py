"""Verification over HTTP: `server` judges rows for callers elsewhere, `client` has the signature of `evoltune.verify`.

evoltune serve-verifier --domain code,math --port 8100 --token-file token.txt
evoltune.verify(rows, domain="math", service="http://127.0.0.1:8100", token=...)
"""
