"""Curation: dedup, decontamination by text and behaviour, selection, and the certificate that training demands."""
