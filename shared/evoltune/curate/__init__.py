"""Curation: dedup, decontamination by text and behaviour, selection; and the certificate that training demands.

Imports no domain: a domain's own overlap functions are called through the checker.
"""

from evoltune.curate.certificate import certificate, require_certificate
from evoltune.curate.stages import curate_stages

__all__ = ["certificate", "curate_stages", "require_certificate"]
