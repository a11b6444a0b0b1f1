"""Fine-tuning: jobs, launching, planning; see docs/train.md."""
