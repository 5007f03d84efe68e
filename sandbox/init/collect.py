"""Takes the files out of /work/out: by descriptor, never through a name that could lead elsewhere.

One job: make the stream of records that the worker reads (`collected.py` there). It is run by the
keeper, after the program's end, with no more rights than the program had. Standard library only.

    f  name length (2 bytes)  name  size (8 bytes)  data
    u  name length            name  reason length   reason: it was left out
"""

import os
import stat
import struct

from kernel import LENGTH

SIZE = struct.Struct(">Q")
PIECE_BYTES = 32 << 10  # one message to PID 1
LOOKED_AT = 1000  # entries of the folder; what comes after is not even counted
NAME_BYTES = 255


def collect(pipe, files, file_bytes, total_bytes):
    """Write every regular file of /work/out to `pipe`, a message socket, within the limits."""
    try:
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
        folder = os.open("/work/out", flags)  # /work itself is a mount point, and stays one
    except OSError:
        return  # nothing was left there, or no folder
    left_files, left_bytes = files, total_bytes
    for name in first_names(folder):
        file, reason = open_file(folder, name, file_bytes)
        if not reason and not left_files:
            reason = "too_many"
        size = 0 if reason else os.fstat(file).st_size
        if not reason and size > left_bytes:
            reason = "total"
        if not reason and not is_text(name):
            reason = "name"
        if reason:
            send(pipe, b"u" + text(os.fsencode(name)) + text(reason.encode()))
        else:
            send(pipe, b"f" + text(os.fsencode(name)) + SIZE.pack(size))
            copy(file, pipe, size)
            left_files, left_bytes = left_files - 1, left_bytes - size
        if file is not None:
            os.close(file)


def first_names(folder):
    names = []
    with os.scandir(folder) as entries:
        for entry in entries:
            names.append(entry.name)
            if len(names) == LOOKED_AT:
                break
    return sorted(names)


def open_file(folder, name, limit_bytes):
    """The descriptor of a regular file, or the reason why there is none."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
    try:
        seen = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if not stat.S_ISREG(seen.st_mode):
            return None, "not_a_file"
        file = os.open(name, flags, dir_fd=folder)
    except OSError:
        return None, "unreadable"
    found = os.fstat(file)
    if not stat.S_ISREG(found.st_mode):
        return file, "not_a_file"
    return file, "too_large" if found.st_size > limit_bytes else ""


def copy(file, pipe, size):
    """Exactly `size` bytes, whatever becomes of the file meanwhile."""
    while size:
        data = os.read(file, min(size, PIECE_BYTES)) or bytes(min(size, PIECE_BYTES))
        send(pipe, data)
        size -= len(data)


def is_text(name):
    try:
        return len(name.encode()) <= NAME_BYTES
    except UnicodeEncodeError:
        return False


def text(data):
    return LENGTH.pack(len(data)) + data


def send(pipe, data):
    os.write(pipe, b"c" + data)  # whole: it is a socket of messages
