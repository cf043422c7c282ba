"""The kernel model: pure, single-threaded, without time; it holds every rule of the catalogue and nothing else."""
