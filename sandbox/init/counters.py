"""What can be looked up of this container: kills for memory, forks refused, folders emptied.

One job: reading cgroup files, of version 1 and 2, and folders. Standard library only.
"""

import os

OOM_FILES = (
    "/sys/fs/cgroup/memory.events",  # version 2
    "/sys/fs/cgroup/memory/memory.oom_control",  # version 1
)
PIDS_FILES = (
    "/sys/fs/cgroup/pids.events",  # version 2
    "/sys/fs/cgroup/pids/pids.events",  # version 1
)


def count_oom_kills(paths=OOM_FILES):
    """How often the kernel has killed for memory in this container; 0 when it does not say."""
    return counter(paths, b"oom_kill")


def count_refused_forks(paths=PIDS_FILES):
    """How often a fork or a new thread met the limit; 0 when the kernel does not say."""
    return counter(paths, b"max")


def are_empty(folders):
    """Whether nothing lies in any of the folders; not, when that cannot be seen."""
    try:
        return not any(os.listdir(folder) for folder in folders)
    except OSError:
        return False


def counter(paths, name):
    for path in paths:
        try:
            with open(path, "rb") as file:
                lines = file.read().splitlines()
        except OSError:
            continue
        return sum(int(line.split()[1]) for line in lines if line.split()[:1] == [name])
    return 0
