"""A box sees its own limits as the machine's memory and processors."""

from auxot_tools.sandbox.proc_files import cpuinfo, meminfo

HOST = "".join(f"processor\t: {number}\nmodel name\t: X\n\n" for number in range(4))


def test_the_memory_is_the_limit_and_there_is_no_swap() -> None:
    rows = dict(line.split(":") for line in meminfo(512 * 2**20).splitlines())
    assert rows["MemTotal"].split() == ["524288", "kB"]
    assert rows["MemAvailable"].split() == ["524288", "kB"]
    assert rows["SwapTotal"].split() == ["0", "kB"]


def test_as_many_processors_as_the_limit_rounded_up() -> None:
    counts = {cpus: cpuinfo(HOST, cpus).count("processor") for cpus in (0.25, 1.0, 1.5, 4.0, 64)}
    assert counts == {0.25: 1, 1.0: 1, 1.5: 2, 4.0: 4, 64: 4}
    assert cpuinfo(HOST, 1) == "processor\t: 0\nmodel name\t: X\n\n"


def test_a_host_that_tells_nothing_gives_nothing() -> None:
    assert cpuinfo("", 1) == ""
