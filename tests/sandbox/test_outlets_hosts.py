"""A box with hosts reaches these through its proxy, and nothing else in any way. In real boxes."""

from collections.abc import AsyncGenerator

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream

from auxot_tools.ports import BoxLimits, BoxSpec
from auxot_tools.types import Deadline
from tests.support.box_runs import program_of, run_in, run_once
from tests.support.egress_world import World, world_of
from tests.support.engine import NOBODY

pytestmark = [pytest.mark.anyio, pytest.mark.engine]


@pytest.fixture
async def world(anyio_backend: str) -> AsyncGenerator[World, None]:
    async with world_of() as world:
        yield world


# -- what works


async def test_curl_reaches_a_listed_host_by_request_and_by_tunnel(world: World) -> None:
    url = world.url("good.test", "/a?b")
    ran = await world.bash(f"curl -sS {url}; curl -sS -p {url}", "good.test")
    assert (ran.stdout, ran.stderr) == ("hello\nhello\n", "")
    assert [request.split(b"\r\n")[0] for request in world.heard] == [b"GET /a?b HTTP/1.1"] * 2


async def test_python_reaches_a_listed_host(world: World) -> None:
    code = f"""
import urllib.request
print(urllib.request.urlopen({world.url("good.test")!r}, b"data").read())
"""
    ran = await world.python(code, "good.test")
    assert (ran.stdout, ran.stderr) == ("b'hello\\n'\n", "")
    assert world.heard[0].startswith(b"POST / HTTP/1.1\r\n")


async def test_node_reaches_a_listed_host_when_it_is_told_the_proxy(world: World) -> None:
    """Node.js 18 takes no notice of the variables; its newer ones do, by NODE_USE_ENV_PROXY."""
    code = f"""
const proxy = new URL(process.env.HTTP_PROXY);
const url = {world.url("good.test")!r};
require("http").get({{ host: proxy.hostname, port: proxy.port, path: url }}, (answer) => {{
  answer.on("data", (data) => process.stdout.write(data));
}});
"""
    program = program_of("node", "main", code=code)
    ran = await run_once(world.sandbox, program, hosts=(f"good.test:{world.port}",))
    assert (ran.stdout, ran.stderr) == ("hello\n", "")


async def test_a_box_that_waits_with_another_interpreter_has_its_way_out_too(world: World) -> None:
    spec = BoxSpec("", BoxLimits(), ready="node", hosts=(f"good.test:{world.port}",))
    box = await world.sandbox.claim(spec, NOBODY, Deadline.after(60))
    try:
        ran = await run_in(box, program_of("curl", "-sS", world.url("good.test")))
    finally:
        await box.release()
    assert ran.stdout == "hello\n"


async def test_much_data_goes_both_ways(world: World) -> None:
    """More than all the buffers between, at once, through the relay and its bounded pieces."""
    code = f"""
import http.client, os, threading
proxy = http.client.HTTPConnection("127.0.0.1", 3128)
proxy.set_tunnel("echo.test", {world.port})
proxy.connect()
size = 4 << 20
threading.Thread(target=lambda: proxy.sock.sendall(b"x" * size)).start()
got = 0
while got < size:
    got += len(proxy.sock.recv(65536))
print(got)
"""

    async def echo(stream: SocketStream) -> None:
        async with stream:
            async for data in stream:
                await stream.send(data)

    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as server,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(server.serve, echo)
        port = server.extra(SocketAttribute.local_port)
        world.names["echo.test"] = ["127.0.0.1"]
        program = program_of("python3", "main", code=code.replace(str(world.port), str(port)))
        ran = await run_once(world.sandbox, program, hosts=(f"echo.test:{port}",))
        tasks.cancel_scope.cancel()
    assert ran.stdout == f"{4 << 20}\n", ran.stderr


# -- what does not


async def test_a_host_that_is_not_listed_is_refused_with_its_name_and_the_setting(
    world: World,
) -> None:
    world.names["other.test"] = ["127.0.0.1"]
    url = world.url("other.test")
    ran = await world.bash(f"curl -s -w '%{{http_code}}' {url}; curl -sS -p {url}", "good.test")
    assert ran.stdout == (
        f"This tool may not reach other.test:{world.port}. Its setting `network` allows only: "
        f"good.test:{world.port}.\n403"
    )
    assert "403" in ran.stderr
    code = f"""
import http.client
proxy = http.client.HTTPConnection("127.0.0.1", 3128)
proxy.set_tunnel("other.test", {world.port})
try:
    proxy.connect()
except OSError as error:
    print(error)
"""
    tunnel = await world.python(code, "good.test")
    assert "403 other.test" in tunnel.stdout
    assert "network" in tunnel.stdout
    assert world.heard == []


@pytest.mark.parametrize(
    "address", ["127.0.0.2", "::ffff:127.0.0.2", "169.254.169.254", "10.0.0.1"]
)
async def test_a_listed_name_that_leads_to_a_forbidden_address_leads_nowhere(
    world: World, address: str
) -> None:
    world.names["rebound.test"] = ["127.0.0.1", address]
    world.names["turned.test"] = [address]
    for name in ("rebound.test", "turned.test"):
        ran = await world.bash(f"curl -s {world.url(name)}", name)
        assert "may not be reached" in ran.stdout
        assert address not in ran.stdout
    assert world.heard == []


async def test_a_forbidden_address_that_is_listed_is_forbidden_all_the_same(world: World) -> None:
    ran = await world.bash(f"curl -s {world.url('127.0.0.2')}", "127.0.0.2")
    assert "may not be reached" in ran.stdout


# What there is beside the proxy: loopback, the engine, metadata, neighbours; every kind of socket.
PROBES = """
import errno, os, socket
def tell(name, action):
    try:
        action()
    except OSError as error:
        print(name, errno.errorcode.get(error.errno, error.errno))
    else:
        print(name, "done")
def connect(family, address):
    with socket.socket(family, socket.SOCK_STREAM) as s:
        s.settimeout(3)
        s.connect(address)
for host in ("127.0.0.1", "127.0.0.2", "172.17.0.1", "10.0.0.1", "169.254.169.254", "1.1.1.1"):
    for port in (@PORT@, 22, 53, 80, 2375, 2376):
        tell("connect", lambda: connect(socket.AF_INET, (host, port)))
for path in ("/var/run/docker.sock", "/run/docker.sock", "/run/auxot/s"):
    tell("engine", lambda: connect(socket.AF_UNIX, path))
for family in range(2, 46):
    for kind in (1, 2, 3, 5, 6, 10):
        if (family, kind) != (socket.AF_INET, socket.SOCK_STREAM):
            tell("socket", lambda: socket.socket(family, kind).close())
for protocol in (1, 17, 33, 132, 136, 255, 256, 262):
    tell("protocol", lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM, protocol).close())
tcp, unix = socket.socket(), socket.socket(socket.AF_UNIX)
tell("server", lambda: tcp.bind(("127.0.0.1", 0)))
tell("server", lambda: tcp.listen())
tell("server", lambda: unix.bind("/tmp/s"))
for option in (5, 7, 8, 14, 25, 26, 32, 33, 36, 46, 60):  # buffers, devices, filters, zero copy
    tell("option", lambda: tcp.setsockopt(socket.SOL_SOCKET, option, 1))
for option in (2, 10, 13, 14, 19, 23, 30, 31, 35):  # congestion, repair, fast open, ULP
    tell("option", lambda: tcp.setsockopt(socket.IPPROTO_TCP, option, 1))
tell("option", lambda: tcp.setsockopt(socket.IPPROTO_TCP, 31, b"tls"))
tell("fine", lambda: tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1))
tell("fine", lambda: tcp.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1))
tell("fine", lambda: connect(socket.AF_INET, ("127.0.0.1", 3128)))
lines = open("/proc/net/dev").readlines()
print("interfaces", [line.split(":")[0].strip() for line in lines if ":" in line])
print("routes", len(open("/proc/net/route").read().splitlines()) - 1)
"""


async def test_nothing_can_be_reached_but_the_proxy_and_no_other_socket_be_had(
    world: World,
) -> None:
    ran = await world.python(PROBES.replace("@PORT@", str(world.port)), "good.test")
    assert ran.outcome.exit_code == 0, ran.stderr
    answers: dict[str, set[str]] = {}
    for line in ran.stdout.splitlines():
        name, answer = line.split(" ", 1)
        answers.setdefault(name, set()).add(answer)
    assert answers == {
        "connect": {"ECONNREFUSED", "ENETUNREACH"},
        "engine": {"ENOENT"},
        "socket": {"EPERM"},
        "protocol": {"EPERM"},
        "server": {"EPERM"},
        "option": {"EPERM"},
        "fine": {"done"},
        "interfaces": {"['lo']"},
        "routes": {"0"},
    }
    assert world.heard == []


# Connections whose buffers are filled as far as they go, in both directions, and never closed: the
# proxy has ended most of them long before.
FILL = """
import resource, socket
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
held = []
while len(held) < 200:
    s = socket.socket()
    s.settimeout(3)
    try:
        s.connect(("127.0.0.1", 3128))
    except OSError:
        break
    held.append(s)
    s.setblocking(False)
    try:
        for _ in range(100):
            s.send(@DATA@ * 1000)
    except OSError:
        pass
print(len(held))
"""


@pytest.mark.parametrize("data", [b"CONNECT", b"\0"])
async def test_connections_are_bounded_however_they_ended(world: World, data: bytes) -> None:
    """The kernel does not charge the buffers of TCP to the box, so their number is bounded."""
    ran = await world.python(FILL.replace("@DATA@", repr(data)), "good.test")
    assert 24 <= int(ran.stdout) <= 24 + 16 + 2, ran.stderr


async def test_a_relay_cannot_be_ended_or_looked_into(world: World) -> None:
    code = """
import errno, os, signal
for pid in sorted(int(name) for name in os.listdir("/proc") if name.isdigit()):
    if os.stat(f"/proc/{pid}").st_uid == os.getuid():
        continue
    for number in (signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM):
        try:
            os.kill(pid, number)
            print(pid, "was signalled")
        except PermissionError:
            pass
    for name in ("mem", "environ", "fd/3"):
        try:
            open(f"/proc/{pid}/{name}", "rb").close()
            print(pid, name, "was opened")
        except OSError:
            pass
import urllib.request
print(urllib.request.urlopen("@URL@").read())
"""
    ran = await world.python(code.replace("@URL@", world.url("good.test")), "good.test")
    assert (ran.stdout, ran.stderr) == ("b'hello\\n'\n", "")


async def test_two_boxes_have_two_lists(world: World) -> None:
    world.names["other.test"] = ["127.0.0.1"]
    boxes = [
        await world.sandbox.claim(
            BoxSpec("", BoxLimits(), hosts=(f"{name}:{world.port}",)), NOBODY, Deadline.after(60)
        )
        for name in ("good.test", "other.test")
    ]
    asking = "curl -s {}; curl -s {}".format(*map(world.url, ("good.test", "other.test")))
    said = []
    for box in boxes:
        said.append((await run_in(box, program_of("bash", "-c", asking))).stdout)
        await box.release()
    refused = (
        "This tool may not reach {0}.test:{2}. Its setting `network` allows only: {1}.test:{2}.\n"
    )
    assert said == [
        "hello\n" + refused.format("other", "good", world.port),
        refused.format("good", "other", world.port) + "hello\n",
    ]


async def test_a_box_without_hosts_has_no_proxy_and_no_sockets(world: World) -> None:
    ran = await world.bash("env | grep -ci proxy; curl -s -x http://127.0.0.1:3128 good.test")
    assert (ran.stdout, ran.outcome.exit_code) == ("0\n", 7)
