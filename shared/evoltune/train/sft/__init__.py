"""Supervised fine-tuning of one job, run by each rank."""
