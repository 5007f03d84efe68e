"""The security posture, line by line: a change of any restriction must show up here."""

from dataclasses import replace

from auxot_tools.ports import BoxLimits
from auxot_tools.sandbox.profile import Identity, create_arguments, labels

MIB = 2**20
LIMITS = BoxLimits(
    memory_bytes=300 * MIB,
    cpus=1.5,
    pids=77,
    open_files=99,
    disk_bytes=20 * MIB,
    disk_inodes=500,
    shm_bytes=5 * MIB,
)


def test_the_whole_posture_of_a_box() -> None:
    assert create_arguments("image:tag", LIMITS, "{profile}", {"a": "b"}) == {
        "Image": "image:tag",
        "Entrypoint": ["/usr/bin/python3", "-I", "-S", "/usr/libexec/auxot/init.py"],
        "Cmd": [],
        "User": "65534:65534",
        "WorkingDir": "/work",
        "Hostname": "sandbox",
        "Env": [],
        "Labels": {"a": "b"},
        "Tty": False,
        "OpenStdin": True,
        "StdinOnce": True,
        "AttachStdin": True,
        "AttachStdout": True,
        "AttachStderr": True,
        "NetworkDisabled": True,
        "HostConfig": {
            "NetworkMode": "none",
            "IpcMode": "none",
            "CgroupnsMode": "private",
            "Privileged": False,
            "ReadonlyRootfs": True,
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges:true", "seccomp={profile}"],
            "Memory": 300 * MIB,
            "MemorySwap": 300 * MIB,
            "MemorySwappiness": 0,
            "PidsLimit": 77,
            "NanoCpus": 1_500_000_000,
            "Ulimits": [
                {"Name": "core", "Soft": 0, "Hard": 0},
                {"Name": "nofile", "Soft": 99, "Hard": 99},
                {"Name": "fsize", "Soft": 40 * MIB, "Hard": 40 * MIB},
                {"Name": "memlock", "Soft": 65536, "Hard": 65536},
                {"Name": "msgqueue", "Soft": 0, "Hard": 0},
            ],
            "Tmpfs": {
                "/tmp": tmpfs(20 * MIB, 500, "1777"),
                "/work": tmpfs(20 * MIB, 500, "0755"),
                "/tool": tmpfs(16 * MIB, 256, "0755"),
                "/dev/shm": tmpfs(5 * MIB, 1024, "1777", "noexec"),
            },
            "LogConfig": {"Type": "none", "Config": {}},
            "RestartPolicy": {"Name": "no"},
            "AutoRemove": False,
            "Init": False,
        },
    }


def tmpfs(size: int, inodes: int, mode: str, exec_: str = "exec") -> str:
    options = f"size={size},nr_inodes={inodes},mode={mode},uid=65534,gid=65534"
    return f"rw,nosuid,nodev,{exec_},{options}"


def test_nothing_of_the_call_is_in_the_arguments() -> None:
    """Code and input travel over the channel: the engine, its logs and `ps` never see them."""
    with_one = create_arguments("i", LIMITS, "{}", {})
    with_other = create_arguments("i", replace(LIMITS, timeout_s=1, output_bytes=1), "{}", {})
    assert with_one == with_other


def test_labels_say_whose_a_box_is_and_until_when() -> None:
    identity = Identity("w1", "machine", "boot", "pid:[1]", 42, 4242)
    assert labels(identity, 1700000000.9) == {
        "io.auxot.tools": "1",
        "io.auxot.tools.worker": "w1",
        "io.auxot.tools.machine": "machine",
        "io.auxot.tools.boot": "boot",
        "io.auxot.tools.pid-namespace": "pid:[1]",
        "io.auxot.tools.pid": "42",
        "io.auxot.tools.pid-start": "4242",
        "io.auxot.tools.deadline": "1700000000",
    }
