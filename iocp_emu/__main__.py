"""`python -m iocp_emu`: the same as the command `iocp-emu`."""

from __future__ import annotations

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
