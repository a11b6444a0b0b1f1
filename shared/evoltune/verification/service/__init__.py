"""Verification over HTTP: `server` verifies rows for callers elsewhere, `client` is what `evoltune.verify(service=...)` uses.

    evoltune serve-verifier --domain code,math --port 8100 --token-file token.txt
    evoltune.verify(rows, domain="math", service="http://127.0.0.1:8100", token=...)

`schema` holds the JSON that travels and its description, `row_queue` the rows that wait for a domain's checker.
"""
