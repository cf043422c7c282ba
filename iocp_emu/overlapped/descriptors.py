"""Reading and writing an open file of the host at given offsets, whatever the host offers for that.

Theory.  Overlapped operations name their offset, and any number of them run at once; so nothing here may depend on
where the host thinks the file stands.  Most hosts have positional calls.  One of them can also answer "not without
waiting for the disk" (RWF_NOWAIT): that tells a copy from a wait.  Hosts without positional calls get a lock around
seeking and moving.

Own rules.  All counts and offsets are in bytes.  A write writes everything or raises.  Everything but `read_cached`,
`size` and `close` may block on the disk; failures are the host's `OSError`.
"""

from __future__ import annotations

import errno
import os
import threading

RWF_NOWAIT: int = getattr(os, "RWF_NOWAIT", 0)
"""The flag of `os.preadv` that refuses to wait; 0 where the host has none."""

NO_SUCH_QUESTION = frozenset({errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL, errno.ENOSYS})
"""How a file system says that it does not know RWF_NOWAIT."""


class Descriptor:
    """An open file of the host; `number` is -1 once closed.

    `at_end`: it was opened to append, and `append` is the only way to write.
    """

    def __init__(self, number: int, *, at_end: bool) -> None:
        self.number = number
        self.at_end = at_end

    def read_cached(self, target: memoryview, offset: int) -> int | None:
        """As `read` if that is a mere copy, else None and nothing has happened but changes in `target`."""
        return self.read(target, offset)

    def read(self, target: memoryview, offset: int) -> int:
        """Fill `target` from `offset` on; fewer bytes than it holds only at the end of the file."""
        raise NotImplementedError

    def write(self, data: memoryview, offset: int) -> None:
        """Write all of `data` at `offset`; a gap beyond the end reads as zeros."""
        raise NotImplementedError

    def append(self, data: memoryview) -> int:
        """Write all of `data` at the end; the end afterwards.

        Other processes cannot come in between when it was opened to append; the caller keeps out its own threads.
        """
        if not self.at_end:
            end = self.size()
            self.write(data, end)
            return end + len(data)
        while data:
            data = data[os.write(self.number, data) :]
        return os.lseek(self.number, 0, os.SEEK_CUR)

    def size(self) -> int:
        """Size of the file."""
        return os.fstat(self.number).st_size

    def flush(self) -> None:
        """Bring what was written to the medium."""
        os.fsync(self.number)

    def close(self) -> None:
        """Give it back to the host; whoever still uses this gets an error, never another file."""
        number, self.number = self.number, -1
        os.close(number)

    def __del__(self) -> None:
        # The whole system was forgotten with the file open.
        if getattr(self, "number", -1) >= 0:  # Ctrl-C may have come before there was one
            self.close()


class PositionalDescriptor(Descriptor):
    """On hosts with positional calls."""

    def __init__(self, number: int, *, at_end: bool) -> None:
        super().__init__(number, at_end=at_end)
        self._can_refuse = bool(RWF_NOWAIT)

    def read_cached(self, target: memoryview, offset: int) -> int | None:
        """One `preadv` that must not wait; a file system that cannot tell is simply read."""
        if self._can_refuse:
            try:
                count = os.preadv(self.number, [target], offset, RWF_NOWAIT)
            except BlockingIOError:
                return None
            except OSError as error:
                if error.errno not in NO_SUCH_QUESTION:
                    raise
                self._can_refuse = False
            else:
                whole = count == len(target) or offset + count >= self.size()
                return count if whole else None
        return self.read(target, offset)

    def read(self, target: memoryview, offset: int) -> int:
        """Several `preadv` where the host moves less than it was asked for."""
        done = 0
        while done < len(target):
            count = os.preadv(self.number, [target[done:]], offset + done)
            if count == 0:
                break
            done += count
        return done

    def write(self, data: memoryview, offset: int) -> None:
        """Several `pwrite` where the host moves less than it was asked for."""
        while data:
            count = os.pwrite(self.number, data, offset)
            data = data[count:]
            offset += count


class SeekingDescriptor(Descriptor):
    """On hosts without positional calls: one operation at a time."""

    def __init__(self, number: int, *, at_end: bool) -> None:
        super().__init__(number, at_end=at_end)
        self._moving = threading.Lock()

    def read(self, target: memoryview, offset: int) -> int:
        """Seek, then read until it is full or nothing comes."""
        done = 0
        with self._moving:
            os.lseek(self.number, offset, os.SEEK_SET)
            while done < len(target):
                data = os.read(self.number, len(target) - done)
                if not data:
                    break
                target[done : done + len(data)] = data
                done += len(data)
        return done

    def write(self, data: memoryview, offset: int) -> None:
        """Seek, then write until all is written."""
        with self._moving:
            os.lseek(self.number, offset, os.SEEK_SET)
            while data:
                data = data[os.write(self.number, data) :]


HOST_DESCRIPTOR: type[Descriptor] = (
    PositionalDescriptor if hasattr(os, "preadv") and hasattr(os, "pwrite") else SeekingDescriptor
)
"""The kind of descriptor for this host."""
