"""Run as a program: sets up what `record` needs in the process that becomes strace. Imports nothing of the package.

    python launch.py SOCKET COMMAND...

A seccomp filter makes every exit_group of the process and its descendants wait for an answer (SECCOMP_RET_USER_NOTIF);
the descriptor that gives the answers goes through SOCKET. Then it waits for a byte from SOCKET and executes COMMAND.
"""

import ctypes
import errno
import os
import socket
import struct
import sys

_SECCOMP = 317  # arch/x86/entry/syscalls/syscall_64.tbl
_SET_MODE_FILTER, _NEW_LISTENER, _WAIT_KILLABLE = 1, 1 << 3, 1 << 5  # include/uapi/linux/seccomp.h
_SET_NO_NEW_PRIVS = 38  # include/uapi/linux/prctl.h
_LOAD, _IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_X86_64, _I386 = 0xC000003E, 0x40000003
_USER_NOTIF, _ALLOW = 0x7FC00000, 0x7FFF0000

_FILTER = [  # (code, distance if true, distance if false, operand)
    (_LOAD, 0, 0, 4),
    (_IF_EQUAL, 0, 2, _X86_64),
    (_LOAD, 0, 0, 0),
    (_IF_EQUAL, 3, 4, 231),  # exit_group
    (_IF_EQUAL, 0, 3, _I386),
    (_LOAD, 0, 0, 0),
    (_IF_EQUAL, 0, 1, 252),  # exit_group
    (_RETURN, 0, 0, _USER_NOTIF),
    (_RETURN, 0, 0, _ALLOW)]


def _install():
    libc = ctypes.CDLL(None, use_errno=True)
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *line) for line in _FILTER))
    program = ctypes.create_string_buffer(struct.pack("@HP", len(_FILTER), ctypes.addressof(code)))
    flags = _NEW_LISTENER | _WAIT_KILLABLE
    while True:
        listener = libc.syscall(_SECCOMP, _SET_MODE_FILTER, flags, program)
        if listener >= 0:
            return listener
        number = ctypes.get_errno()
        if number == errno.EACCES and not libc.prctl(_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
            continue  # who is not root may filter only what can gain no privileges
        if number == errno.EINVAL and flags & _WAIT_KILLABLE:
            flags = _NEW_LISTENER  # before Linux 5.19
            continue
        raise OSError(number, os.strerror(number))


def main(number, command):
    """Sends the descriptor, or the reason why there is none, waits to be told to go, and becomes the command."""
    os.set_inheritable(number, False)
    channel = socket.socket(fileno=number)
    try:
        listener = _install()
    except OSError as error:
        channel.send(error.strerror.encode())
        return 1
    socket.send_fds(channel, [b"\0"], [listener])
    os.close(listener)
    if not channel.recv(1):
        return 1
    os.execv(command[0], command)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
