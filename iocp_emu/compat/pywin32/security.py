"""Security attributes and descriptors: what programs pass to the calls that make objects.

Theory.  The emulator has one user, so an access-control list decides nothing here.  The objects exist because programs
build them (a null DACL for a pipe that a service serves, for instance), and they say what was put into them.
"""

from __future__ import annotations

from typing import Any

SE_DACL_PRESENT = 0x0004
SE_DACL_DEFAULTED = 0x0008
SECURITY_DESCRIPTOR_REVISION = 1


class PySECURITY_DESCRIPTOR:
    """A security descriptor that holds a DACL, or none."""

    def __init__(self) -> None:
        self.Initialize()

    def Initialize(self) -> None:
        """Make it empty."""
        self._control = 0
        self._dacl: Any = None

    def SetSecurityDescriptorDacl(self, bSaclPresent: Any, SACL: Any, bSaclDefaulted: Any, /) -> None:
        """Set the DACL; present and None lets everybody in."""
        self._control = (SE_DACL_PRESENT if bSaclPresent else 0) | (SE_DACL_DEFAULTED if bSaclDefaulted else 0)
        self._dacl = SACL if bSaclPresent else None

    def GetSecurityDescriptorDacl(self) -> Any:
        """The DACL that was set, or None."""
        return self._dacl

    def GetSecurityDescriptorControl(self) -> tuple[int, int]:
        """(control bits, revision)."""
        return self._control, SECURITY_DESCRIPTOR_REVISION

    def IsValid(self) -> bool:
        """True."""
        return True


class PySECURITY_ATTRIBUTES:
    """Made by `SECURITY_ATTRIBUTES()`.  `bInheritHandle` means nothing here: children inherit no emulated handles."""

    def __init__(self) -> None:
        self.bInheritHandle = 0
        self.SECURITY_DESCRIPTOR = PySECURITY_DESCRIPTOR()

    def Initialize(self) -> None:
        """Make the descriptor empty."""
        self.SECURITY_DESCRIPTOR.Initialize()

    def SetSecurityDescriptorDacl(self, bSaclPresent: Any, SACL: Any, bSaclDefaulted: Any, /) -> None:
        """Set the DACL of the descriptor."""
        self.SECURITY_DESCRIPTOR.SetSecurityDescriptorDacl(bSaclPresent, SACL, bSaclDefaulted)


def SECURITY_DESCRIPTOR() -> PySECURITY_DESCRIPTOR:
    """A new, empty security descriptor."""
    return PySECURITY_DESCRIPTOR()


def SECURITY_ATTRIBUTES() -> PySECURITY_ATTRIBUTES:
    """New security attributes."""
    return PySECURITY_ATTRIBUTES()


def check_attributes(value: Any) -> None:
    """An argument that is PySECURITY_ATTRIBUTES or None."""
    if value is not None and not isinstance(value, PySECURITY_ATTRIBUTES):
        raise TypeError("The object is not a PySECURITY_ATTRIBUTES object")
