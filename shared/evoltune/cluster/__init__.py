"""Many machines: the Ray engine, Slurm scripts, the count of GPUs."""
