"""Executors: run jobs in this process, in processes of this machine, or through Ray or SLURM."""
