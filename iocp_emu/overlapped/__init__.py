"""Real overlapped I/O: devices behind file objects, whose operations end as completion packets."""
