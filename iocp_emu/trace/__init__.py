"""Recordings of what ports do: this wing observes, and neither the kernel nor a runtime knows of it."""
