"""What all tests share: how hypothesis runs here.

The examples are the same in every run, and no example has a time limit: a failure is then a fact about the
code and not about the machine's load. To look further: `python -m pytest --hypothesis-profile=default`.
"""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("iocp_emu", deadline=None, derandomize=True)
settings.load_profile("iocp_emu")
