"""Verification: answers judged by their domain, in worker processes, as a call, a stage, a service or a reward.

See docs/validate.md.
"""
