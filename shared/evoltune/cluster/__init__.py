"""Many machines: the Ray engine, Slurm scripts, the number of GPUs."""
