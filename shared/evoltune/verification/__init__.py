"""Verification: a domain gives answers their verdicts, in worker processes; as a call, a stage, a service or a reward.

`records` verifies one record inside a worker, `checker` opens a pool of workers, `rows` brings rows and files to it, `api` holds
`evoltune.verify` and `evoltune.reward`. docs/validate.md is the user's page.
"""
