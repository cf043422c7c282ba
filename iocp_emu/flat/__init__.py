"""The flat faces, room by room: `iocp_emu.win32` and `iocp_emu.ntdll` gather what is written here."""
