"""Files out of a box: what the keeper sends (`sandbox/init/collect.py`) and the worker reads."""

import os
import socket
import threading
from pathlib import Path

import pytest

from auxot_tools.ports import CollectLimits
from auxot_tools.sandbox.collected import Collected, FileCollector
from tests.support.init_modules import init_module

LIMITS = CollectLimits(files=3, file_bytes=100_000, total_bytes=150_000)


def collected(folder: Path, limits: CollectLimits = LIMITS) -> Collected:
    """What arrives at the worker of the files in a folder."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    wanted = (limits.files, limits.file_bytes, limits.total_bytes)

    def send() -> None:
        with theirs:
            init_module("collect").collect(theirs.fileno(), *wanted, str(folder))

    sender = threading.Thread(target=send)
    sender.start()
    collector = FileCollector(limits)
    with ours:
        ours.settimeout(20)
        while message := ours.recv(1 << 16):
            assert message[:1] == b"c"
            collector.add(message[1:])
    sender.join(20)
    collector.add(b"d")
    collected = collector.collected()
    assert collector.is_whole
    return collected


def names_and_reasons(folder: Path, limits: CollectLimits = LIMITS) -> tuple[list[str], list[str]]:
    files, left_out = collected(folder, limits)
    return [file.name for file in files], [f"{file.name}: {file.reason}" for file in left_out]


def test_files_come_in_the_order_of_their_names_with_all_their_bytes(tmp_path: Path) -> None:
    data = os.urandom(99_999)  # many messages
    (tmp_path / "b.bin").write_bytes(data)
    (tmp_path / "a.txt").write_bytes(b"")
    files, left_out = collected(tmp_path)
    assert [(file.name, file.data) for file in files] == [("a.txt", b""), ("b.bin", data)]
    assert left_out == ()


def test_what_is_no_regular_file_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("not in the folder")
    out = tmp_path / "out"
    out.mkdir()
    (out / "absolute").symlink_to("/etc/passwd")
    (out / "beside").symlink_to("../secret")
    (out / "folder").mkdir()
    os.mkfifo(out / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(out / "socket"))
        names, reasons = names_and_reasons(out)
    assert names == []
    kinds = ("absolute", "beside", "folder", "pipe", "socket")
    assert reasons == [f"{name}: not_a_file" for name in kinds]


def test_a_folder_that_is_a_link_gives_nothing_and_is_told(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "file").write_text("x")
    (tmp_path / "out").symlink_to(tmp_path / "real")
    assert names_and_reasons(tmp_path / "out") == ([], ["/work/out: not_a_file"])


def test_a_folder_that_is_missing_gives_nothing_and_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    assert collected(tmp_path / "missing") == ((), ())
    assert names_and_reasons(tmp_path / "file") == ([], ["/work/out: not_a_file"])


def test_each_bound_has_its_own_reason(tmp_path: Path) -> None:
    for name, size in (("a", 100_001), ("b", 90_000), ("c", 90_000), ("d", 1), ("e", 1), ("f", 1)):
        (tmp_path / name).write_bytes(bytes(size))
    names, reasons = names_and_reasons(tmp_path)
    assert names == ["b", "d", "e"]
    assert reasons == ["a: too_large", "c: total", "f: too_many"]


def test_a_sparse_giant_is_judged_by_its_length(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(2 * 2**40)
    assert names_and_reasons(tmp_path) == ([], ["sparse: too_large"])


def test_names_that_are_no_text_are_left_out_and_others_are_kept(tmp_path: Path) -> None:
    for name in (b"bad\xff", b"new\nline", "ümlaut".encode()):
        Path(os.fsdecode(bytes(tmp_path) + b"/" + name)).write_text("x")
    names, reasons = names_and_reasons(tmp_path)
    assert names == ["new\nline", "ümlaut"]
    assert reasons == ["bad\ufffd: name"]


def test_a_hundred_thousand_names_cost_a_thousand_and_the_rest_is_told(tmp_path: Path) -> None:
    for number in range(1200):
        (tmp_path / f"{number:05}").touch()
    _, reasons = names_and_reasons(tmp_path)
    assert len(reasons) == 1000 - LIMITS.files + 1
    assert reasons[-1].startswith("(what lies there beyond the first 1000)")


@pytest.mark.parametrize("cut_bytes", [1, 2, 5, 12, 50])
def test_a_stream_that_breaks_off_loses_only_its_last_file(tmp_path: Path, cut_bytes: int) -> None:
    stream = b"f\x00\x01a" + (3).to_bytes(8, "big") + b"xyz"
    second = b"f\x00\x01b" + (60).to_bytes(8, "big") + b"y" * 60
    collector = FileCollector(LIMITS)
    collector.add(stream + second[:-cut_bytes] if cut_bytes < len(second) else stream)
    files, left_out = collector.collected()
    assert [(file.name, file.data) for file in files] == [("a", b"xyz")]
    assert [(file.name, file.reason) for file in left_out] == [("b", "lost")]
