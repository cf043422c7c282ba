"""Runtimes: they know threads and time, drive the kernel model, and add no semantics."""
