"""Takes the files out of /work/out: by descriptor, never through a name that could lead elsewhere.

One job: make the stream of records that the worker reads (`collected.py` there). It is run by the
keeper, after the program's end, with no more rights than the program had. Standard library only.

    f  name length (2 bytes)  name  size (8 bytes)  data
    u  name length            name  reason length   reason: it was left out
    d  that was all (PID 1 adds it, when the keeper says so)
"""

import os
import stat
import struct

from kernel import LENGTH

SIZE = struct.Struct(">Q")
PIECE_BYTES = 32 << 10  # one message to PID 1
LOOKED_AT = 1000  # entries of the folder; the others are told as one
THE_REST = b"(what lies there beyond the first 1000)"
NAME_BYTES = 255


def collect(pipe, files, file_bytes, total_bytes, path="/work/out"):
    """Write every regular file of a folder to `pipe`, a message socket, within the limits."""
    try:
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
        folder = os.open(path, flags)  # /work itself is a mount point, and stays one
    except FileNotFoundError:
        return
    except OSError as error:  # a link, a file, or shut: whatever was put there stays
        reason = b"unreadable" if isinstance(error, PermissionError) else b"not_a_file"
        send(pipe, b"u" + text(b"/work/out") + text(reason))
        return
    left_files, left_bytes = files, total_bytes
    names, has_more = first_names(folder)
    for name in names:
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
    if has_more:
        send(pipe, b"u" + text(THE_REST) + text(b"too_many"))


def first_names(folder):
    names = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if len(names) == LOOKED_AT:
                return sorted(names), True
            names.append(entry.name)
    return sorted(names), False


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
    """Exactly `size` bytes, with zeros for what a process that lives on has cut off meanwhile."""
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
