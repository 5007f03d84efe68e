"""The seccomp profiles are allow-lists that the engine understands, without the names that hurt.

The base is common to both forms of a box; each form allows a few calls more, named here one by one.
"""

import json
from typing import Any

import pytest

from auxot_tools.sandbox.seccomp import compose, read_profiles
from auxot_tools.share import share_dir

FOLDER = share_dir("sandbox") / "seccomp"
PROFILE: dict[str, Any] = json.loads((FOLDER / "base.json").read_text())
FORMS: dict[str, dict[str, Any]] = {
    form: json.loads(text) for form, text in read_profiles().items()
}
EXTRAS = {
    "uid": {"capset", "setgid", "setgroups", "setresgid", "setresuid", "setuid"},
    "ns": {"capset", "clone", "mount"},
    "hosts": {"capset", "setgid", "setgroups", "setresgid", "setresuid", "setuid"},
}
NARROWED = {"getsockopt", "setsockopt", "socket"}  # in boxes with hosts
ALLOW = "SCMP_ACT_ALLOW"

REFUSED = """
    acct add_key bpf chroot clock_adjtime clock_settime create_module delete_module fanotify_init
    finit_module fsconfig fsmount fsopen fspick get_kernel_syms init_module io_uring_enter
    io_uring_register io_uring_setup ioperm iopl ioprio_set kcmp kexec_file_load kexec_load keyctl
    landlock_create_ruleset lookup_dcookie mbind memfd_secret migrate_pages mlockall modify_ldt
    mount mount_setattr move_mount move_pages mq_open msgget name_to_handle_at open_by_handle_at
    open_tree perf_event_open pidfd_getfd pivot_root process_madvise process_mrelease
    process_vm_readv process_vm_writev ptrace quotactl quotactl_fd reboot remap_file_pages
    request_key sched_setattr sched_setparam sched_setscheduler seccomp semget set_mempolicy
    setdomainname setgid setgroups sethostname setns settimeofday setuid shmget splice swapoff
    swapon sync syncfs syslog tee umount umount2 unshare uselib userfaultfd vhangup vmsplice
    capset setresgid setresuid
"""


def rules(name: str) -> list[dict[str, Any]]:
    return [rule for rule in PROFILE["syscalls"] if name in rule["names"]]


def test_what_is_not_named_is_refused_with_eperm() -> None:
    assert (PROFILE["defaultAction"], PROFILE["defaultErrnoRet"]) == ("SCMP_ACT_ERRNO", 1)


def test_only_the_two_64_bit_architectures_are_known_and_no_32_bit_one() -> None:
    assert PROFILE["archMap"] == [
        {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": []},
        {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": []},
    ]


@pytest.mark.parametrize("name", REFUSED.split())
def test_a_dangerous_call_is_not_allowed(name: str) -> None:
    assert all(rule["action"] != ALLOW for rule in rules(name))


@pytest.mark.parametrize(
    "name",
    [
        "clone",
        "mknod",
        "mknodat",
        "personality",
        "prlimit64",
        "sched_setaffinity",
        "setpriority",
        "socket",
        "socketpair",
    ],
)
def test_a_call_with_dangerous_arguments_is_allowed_only_with_conditions(name: str) -> None:
    assert rules(name)
    assert all(rule.get("args") for rule in rules(name))


@pytest.mark.parametrize("name", ["socket", "socketpair"])
def test_sockets_are_unix_only_because_only_their_buffers_count_to_the_box(name: str) -> None:
    (rule,) = rules(name)
    (family,) = rule["args"]
    assert (family["index"], family["op"], family["value"]) == (0, "SCMP_CMP_EQ", 1)


def test_new_namespaces_are_masked_out_of_clone() -> None:
    (rule,) = rules("clone")
    (condition,) = rule["args"]
    new_namespaces = (
        0x00020000 | 0x02000000 | 0x04000000 | 0x08000000 | 0x10000000 | 0x20000000 | 0x40000000
    )
    assert (condition["op"], condition["value"], condition["valueTwo"]) == (
        "SCMP_CMP_MASKED_EQ",
        new_namespaces,
        0,
    )


@pytest.mark.parametrize("form", ["uid", "ns"])
def test_a_form_allows_its_extras_without_conditions_and_changes_nothing_else(form: str) -> None:
    profile = FORMS[form]
    extra = [rule for rule in profile["syscalls"] if EXTRAS[form] & set(rule["names"])]
    assert {name for rule in extra for name in rule["names"]} == EXTRAS[form]
    assert all(rule["action"] == ALLOW and not rule.get("args") for rule in extra)
    others = [rule for rule in profile["syscalls"] if rule not in extra]
    assert others == [rule for rule in PROFILE["syscalls"] if not EXTRAS[form] & set(rule["names"])]
    assert {key: value for key, value in profile.items() if key != "syscalls"} == {
        key: value for key, value in PROFILE.items() if key != "syscalls"
    }


def test_boxes_with_hosts_have_the_profile_of_their_form_but_for_sockets() -> None:
    def others(form: str) -> list[dict[str, Any]]:
        left = [
            {**rule, "names": sorted(set(rule["names"]) - NARROWED)}
            for rule in FORMS[form]["syscalls"]
        ]
        return [rule for rule in left if rule["names"]]

    assert others("hosts") == others("uid")


def conditions(name: str) -> list[list[tuple[int, str, int, int]]]:
    rules = [rule for rule in FORMS["hosts"]["syscalls"] if name in rule["names"]]
    assert all(rule["action"] == ALLOW for rule in rules)
    return [
        [(arg["index"], arg["op"], arg["value"], arg["valueTwo"]) for arg in rule["args"]]
        for rule in rules
    ]


def test_boxes_with_hosts_have_tcp_over_ipv4_and_no_other_sockets_more() -> None:
    tcp = [(0, "SCMP_CMP_EQ", 2, 0), (1, "SCMP_CMP_MASKED_EQ", 15, 1)]
    assert conditions("socket") == [
        [(0, "SCMP_CMP_EQ", 1, 0)],
        [*tcp, (2, "SCMP_CMP_EQ", 0, 0)],
        [*tcp, (2, "SCMP_CMP_EQ", 6, 0)],
    ]


@pytest.mark.parametrize("name", ["setsockopt", "getsockopt"])
def test_boxes_with_hosts_may_name_few_options_of_sockets(name: str) -> None:
    """Not among them: buffer sizes, upper protocols, zero copy, filters, multicast."""
    named = {tuple(arg[2] for arg in rule) for rule in conditions(name)}
    sol, tcp = 1, 6
    usual = {(tcp, option) for option in (1, 3, 4, 5, 6, 12, 18)}
    if name == "getsockopt":
        assert named == usual | {(tcp, 11), (sol,)}
    else:
        assert named == usual | {(sol, option) for option in (2, 4, 9, 13, 15, 16, 18, 20, 21)}


def test_an_extra_rule_takes_the_place_of_the_bases() -> None:
    base = {"syscalls": [{"names": ["a", "b"], "args": [1]}, {"names": ["a"]}]}
    extra = {"syscalls": [{"names": ["a"]}]}
    assert compose(base, extra) == {"syscalls": [{"names": ["b"], "args": [1]}, {"names": ["a"]}]}


@pytest.mark.parametrize("profile", [PROFILE, *FORMS.values()], ids=["base", *FORMS])
def test_every_rule_says_why_and_no_call_is_both_free_and_conditional(
    profile: dict[str, Any],
) -> None:
    free: set[str] = set()
    conditional: set[str] = set()
    for rule in profile["syscalls"]:
        assert rule["comment"]
        (conditional if rule.get("args") else free).update(rule["names"])
    assert not free & conditional
