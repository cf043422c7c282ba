"""Teaching: programs that show what a completion port does, on real work and with measured figures."""
