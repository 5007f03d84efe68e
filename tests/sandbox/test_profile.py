"""The security posture, line by line: a change of any restriction must show up here."""

import json
from dataclasses import replace
from typing import Any

import pytest

from auxot_tools.ports import BoxLimits, BoxSpec
from auxot_tools.sandbox.kind import Form, kind_of
from auxot_tools.sandbox.profile import (
    OWN_FILES,
    BoxPlan,
    HostFiles,
    Identity,
    create_arguments,
    labels,
)

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
SPEC = BoxSpec("", LIMITS, "call", "node")
FILES = HostFiles("/run/w/box/run", "/run/w/box/meminfo", "/run/w/box/cpuinfo")
UID_PLAN = BoxPlan(kind_of(SPEC), "image:tag", "uid", 63007, FILES)
HOSTS_PLAN = BoxPlan(
    kind_of(replace(SPEC, hosts=("example.org",))), "image:tag", "uid", 63007, FILES
)
NS_PLAN = BoxPlan(kind_of(replace(SPEC, isolation="warm")), "image:tag", "ns", 63008, FILES)

SHARED_HOST_CONFIG = {
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
    "PidsLimit": 77 + 3,
    "NanoCpus": 1_500_000_000,
    "Ulimits": [
        {"Name": "core", "Soft": 0, "Hard": 0},
        {"Name": "nofile", "Soft": 99 + OWN_FILES, "Hard": 99 + OWN_FILES},
        {"Name": "fsize", "Soft": 40 * MIB, "Hard": 40 * MIB},
        {"Name": "memlock", "Soft": 65536, "Hard": 65536},
        {"Name": "msgqueue", "Soft": 0, "Hard": 0},
    ],
    "LogConfig": {"Type": "none", "Config": {}},
    "RestartPolicy": {"Name": "no"},
    "AutoRemove": False,
    "Init": False,
}


def made(plan: BoxPlan) -> dict[str, Any]:
    arguments: dict[str, Any] = create_arguments(plan, "{profile}", {"a": "b"})
    return arguments


def told(arguments: dict[str, Any]) -> dict[str, Any]:
    """What PID 1 is told of its box."""
    (text,) = [line for line in arguments["Env"] if line.startswith("AUXOT_BOX=")]
    box: dict[str, Any] = json.loads(text.removeprefix("AUXOT_BOX="))
    return box


def tmpfs(size: int, inodes: int, mode: str, owner: str, exec_: str = "exec") -> str:
    return f"rw,nosuid,nodev,{exec_},size={size},nr_inodes={inodes},mode={mode}{owner}"


def bind(source: str, target: str) -> dict[str, object]:
    return {"Type": "bind", "Source": source, "Target": target, "ReadOnly": True}


def test_the_whole_posture_of_a_box_whose_program_is_another_user() -> None:
    arguments = made(UID_PLAN)
    mine = ",uid=63007,gid=63007"
    assert arguments.pop("Env")[:-1] == [
        "PATH=/usr/local/bin:/usr/bin:/bin",
        "HOME=/work",
        "TMPDIR=/tmp",
        "LANG=C.UTF-8",
        "PYTHONDONTWRITEBYTECODE=1",
        "PYTHONUNBUFFERED=1",
    ]
    assert arguments == {
        "Image": "image:tag",
        "Entrypoint": ["/usr/bin/python3", "-u", "-B", "/usr/libexec/auxot/init.py"],
        "Cmd": [],
        "User": "0:0",
        "WorkingDir": "/",
        "Hostname": "sandbox",
        "Labels": {"a": "b"},
        "Tty": False,
        "OpenStdin": False,
        "StdinOnce": False,
        "AttachStdin": False,
        "AttachStdout": False,
        "AttachStderr": False,
        "NetworkDisabled": True,
        "HostConfig": {
            **SHARED_HOST_CONFIG,
            "CapAdd": ["KILL", "SETUID", "SETGID"],
            "Tmpfs": {
                "/tmp": tmpfs(20 * MIB, 500, "1777", mine),
                "/work": tmpfs(20 * MIB, 500, "0755", mine),
                "/tool": tmpfs(16 * MIB, 256, "0755", mine),
                "/dev/shm": tmpfs(5 * MIB, 1024, "1777", mine, "noexec"),
                "/sys/devices/system/cpu": tmpfs(65536, 32, "0755", "", "noexec"),
            },
            "Mounts": [
                bind("/run/w/box/run", "/run/auxot"),
                bind("/run/w/box/meminfo", "/proc/meminfo"),
                bind("/run/w/box/cpuinfo", "/proc/cpuinfo"),
            ],
        },
    }


def test_the_whole_posture_of_a_box_whose_calls_have_namespaces() -> None:
    host_config = made(NS_PLAN).pop("HostConfig")
    mine = ",uid=63008,gid=63008"
    assert made(NS_PLAN)["User"] == "63008:63008"
    assert host_config == {
        **SHARED_HOST_CONFIG,
        "CapAdd": [],
        "MaskedPaths": [],  # PID 1 masks the call's own /proc instead
        "ReadonlyPaths": [],
        "Tmpfs": {
            "/dev/shm": tmpfs(65536, 32, "0755", mine, "noexec"),
            "/sys/devices/system/cpu": tmpfs(65536, 32, "0755", mine, "noexec"),
        },
        "Mounts": [bind("/run/w/box/run", "/run/auxot")],
    }


@pytest.mark.parametrize("plan", [UID_PLAN, NS_PLAN], ids=["uid", "ns"])
def test_an_attached_box_has_its_channel_on_stdin_and_nothing_of_the_host(plan: BoxPlan) -> None:
    attached = made(replace(plan, host_files=None))
    assert "Mounts" not in attached["HostConfig"]
    assert told(attached)["channel"] == "stdio"
    streams = ("OpenStdin", "StdinOnce", "AttachStdin", "AttachStdout", "AttachStderr")
    assert all(attached[name] for name in streams)


@pytest.mark.parametrize("form", ["uid", "ns"])
def test_pid_1_is_told_what_it_has_to_make(form: Form) -> None:
    assert told(made(replace(UID_PLAN, form=form))) == {
        "form": form,
        "channel": "unix",
        "uid": 63007,
        "mode": "call",
        "ready": "node",
        "cpus": 1.5,
        "memory_bytes": 300 * MIB,
        "open_files": 99,
        "disk_bytes": 20 * MIB,
        "disk_inodes": 500,
        "shm_bytes": 5 * MIB,
    }


def test_a_box_with_hosts_has_a_relay_bounded_buffers_and_the_proxys_address_beyond_that() -> None:
    arguments, usual = made(HOSTS_PLAN), made(UID_PLAN)
    buffers = "4096 65536 131072"
    assert arguments["HostConfig"].pop("Sysctls") == {
        "net.ipv4.tcp_rmem": buffers,
        "net.ipv4.tcp_wmem": buffers,
    }
    assert arguments["HostConfig"].pop("PidsLimit") == 77 + 4
    assert usual["HostConfig"].pop("PidsLimit") == 77 + 3
    assert told(arguments) == {**told(usual), "proxy_port": 3128}
    more = set(arguments.pop("Env")[:-1]) - set(usual.pop("Env")[:-1])
    proxy, near = "http://127.0.0.1:3128", "localhost,127.0.0.1,::1"
    assert more == {
        *(f"{name}={proxy}" for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")),
        *(f"{name}={proxy}" for name in ("http_proxy", "https_proxy", "all_proxy")),
        f"NO_PROXY={near}",
        f"no_proxy={near}",
        "NODE_USE_ENV_PROXY=1",
    }
    assert arguments == usual, "no network of the engine's, and the same in all else"


def test_the_list_of_hosts_stays_outside() -> None:
    other = replace(HOSTS_PLAN, kind=kind_of(replace(SPEC, hosts=("one.test", "two.test"))))
    assert made(other) == made(HOSTS_PLAN)


def test_another_runtime_is_asked_for_only_when_it_is_set() -> None:
    assert "Runtime" not in made(UID_PLAN)["HostConfig"]
    assert made(replace(UID_PLAN, runtime="runsc"))["HostConfig"]["Runtime"] == "runsc"


def test_nothing_of_the_call_is_in_the_arguments() -> None:
    """Code and input travel over the channel: the engine, its logs and `ps` never see them."""
    other = BoxSpec("", replace(LIMITS, timeout_s=1, output_bytes=1), "call", "node")
    assert made(replace(UID_PLAN, kind=kind_of(other))) == made(UID_PLAN)


def test_labels_say_whose_a_box_is_of_what_kind_and_until_when() -> None:
    identity = Identity("w1", "machine", "boot", "pid:[1]", 42, 4242)
    assert labels(identity, 1700000000.9, "warm", "ns") == {
        "io.auxot.tools": "1",
        "io.auxot.tools.worker": "w1",
        "io.auxot.tools.machine": "machine",
        "io.auxot.tools.boot": "boot",
        "io.auxot.tools.pid-namespace": "pid:[1]",
        "io.auxot.tools.pid": "42",
        "io.auxot.tools.pid-start": "4242",
        "io.auxot.tools.deadline": "1700000000",
        "io.auxot.tools.mode": "warm",
        "io.auxot.tools.form": "ns",
    }
