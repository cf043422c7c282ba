"""The stepper: the reader is the scheduler of a program in a simulation, and may go back, fork, compare and save."""
