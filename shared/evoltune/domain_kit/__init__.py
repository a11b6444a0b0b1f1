"""The kit for a new domain: a skeleton to start from, and the conformance suite that checks it."""
