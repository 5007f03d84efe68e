"""Attacks over the network: every family of sockets, names, the host's addresses, other boxes.

`@PORT@` and `@ABSTRACT@` are listeners of the test on the host, `@GATEWAY@` is the host's address
on the weak set-ups' network.
"""

from tests.support.attack import Attack

_CONNECT = """
import socket
def speak(family, address):
    with socket.socket(family, {kind}) as s:
        s.settimeout(2)
        s.connect(address)
        s.send(b"hello")
        return s.recv(5)
# Unreachable, or silent, is as good as a refusal.
fine = REFUSALS | ABSENT | {{errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ECONNREFUSED,
    errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, None, errno.ETIMEDOUT}}
attempt("speak", lambda: speak({family}, {address}), fine)
verdict()
"""
_OPEN = """
import socket
fine = REFUSALS | {{errno.EAFNOSUPPORT, errno.ESOCKTNOSUPPORT, errno.EPROTONOSUPPORT}}
attempt("{name}", lambda: socket.socket({arguments}).close(), fine)
verdict()
"""


def _speak(name: str, weak: str, family: str, kind: str, address: str) -> Attack:
    code = _CONNECT.format(family=f"socket.{family}", kind=f"socket.{kind}", address=address)
    return Attack(name, "network", code, weak)


def _socket(name: str, arguments: str, weak: str | None, why: str = "") -> Attack:
    code = _OPEN.format(name=name, arguments=arguments)
    return Attack(f"a socket: {name}", "network", code, weak, why_not_weak=why)


_NOT_BUILT = "this kernel is built without it"

SPEAK = [
    _speak(
        "the host's loopback", "host network", "AF_INET", "SOCK_STREAM", '("127.0.0.1", @PORT@)'
    ),
    _speak(
        "the host's loopback, IPv6", "host network", "AF_INET6", "SOCK_STREAM", '("::1", @PORT@)'
    ),
    _speak("the host by its address", "usual", "AF_INET", "SOCK_STREAM", '("@GATEWAY@", @PORT@)'),
    _speak("a datagram to the host", "usual", "AF_INET", "SOCK_DGRAM", '("@GATEWAY@", @PORT@)'),
    _speak(
        "an abstract unix socket of the host",
        "host network",
        "AF_UNIX",
        "SOCK_STREAM",
        r'"\0@ABSTRACT@"',
    ),
    Attack(
        "the host over HTTP, with curl",
        "network",
        "curl -s -m 3 http://@GATEWAY@:@PORT@/ ; s=$?\n"
        "if [ $s = 7 ] || [ $s = 28 ]; then echo HELD $s; else echo BROKE $s; fi",
        "usual",
        language="bash",
    ),
    Attack(
        "the host, from JavaScript",
        "network",
        """
const s = require("net").connect(@PORT@, "@GATEWAY@", () => { console.log("BROKE"); s.destroy(); });
s.setTimeout(3000, () => { console.log("HELD silent"); process.exit(0); });
s.on("error", (error) => console.log("HELD", error.code));
""",
        "usual",
        language="javascript",
    ),
    Attack(
        "a name of the network",
        "network",
        """
import socket
try: found = socket.gethostbyname("auxot-attack-canary")
except OSError as error: found = ""
tell(found, found)
""",
        "usual",
    ),
    Attack(
        "servers of its own on loopback",
        "network",
        """
import socket
attempt("listen", lambda: socket.create_server(("127.0.0.1", 0)).close())
verdict()
""",
        "usual",
    ),
    Attack(
        "interfaces beside loopback",
        "network",
        """
names = [line.split(":")[0].strip() for line in open("/proc/net/dev") if ":" in line]
tell(set(names) - {"lo"}, " ".join(names))
""",
        "usual",
    ),
    Attack(
        "the list of the host's connections",
        "network",
        r"""
port = f":{int('@PORT@'):04X} "
text = "".join(open("/proc/net/" + name).read() for name in ("tcp", "tcp6", "unix"))
tell(port in text or "@ABSTRACT@" in text, f"{len(text)} characters")
""",
        "host network",
    ),
    Attack(
        "an abstract unix socket of another box",
        "network",
        r"""
import socket, time
s = socket.socket(socket.AF_UNIX)
s.bind("\0attack-@NONCE@")
s.listen()
print("PLANTED", flush=True)
time.sleep(6)
""",
        "two on one network",
        then=r"""
import socket
s = socket.socket(socket.AF_UNIX)
attempt("connect", lambda: s.connect("\0attack-@NONCE@"), REFUSALS | {errno.ECONNREFUSED})
verdict()
""",
        overlaps=True,
    ),
]

SOCKETS = [
    _socket("TCP", "2, 1", "usual"),
    _socket("UDP", "2, 2", "usual"),
    _socket("TCP over IPv6", "10, 1", "usual"),
    _socket("multipath TCP", "2, 1, 262", "usual"),
    _socket("raw", "2, 3, 1", "usual"),
    _socket("ping", "2, 2, 1", "usual"),
    _socket("packets", "17, 3, 0x300", "usual"),
    _socket("netlink, routes", "16, 3, 0", "usual"),
    _socket("netlink, kernel events", "16, 3, 15", "usual"),
    _socket("vsock, to the hypervisor", "40, 1", "open"),
    _socket("vsock, whole packets", "40, 5", "open"),
    _socket("XDP", "44, 3", "open"),
    _socket("the kernel's ciphers", "38, 5", None, _NOT_BUILT),
    _socket("bluetooth", "31, 3, 1", None, _NOT_BUILT),
    _socket("CAN", "29, 3, 1", None, _NOT_BUILT),
    _socket("IPsec keys", "15, 3, 2", None, _NOT_BUILT),
    _socket("SCTP", "2, 1, 132", None, _NOT_BUILT),
    _socket("TIPC", "30, 1", None, _NOT_BUILT),
    Attack(
        "a socket: any family beside unix",
        "network",
        """
import socket
fine = REFUSALS | {errno.EAFNOSUPPORT, errno.ESOCKTNOSUPPORT, errno.EPROTONOSUPPORT, errno.EINVAL}
for family in range(2, 64):
    for kind in (1, 2, 3, 4, 5, 6):
        attempt(f"{family}/{kind}", lambda: socket.socket(family, kind).close(), fine)
verdict()
""",
        "usual",
    ),
]

CASES = [*SPEAK, *SOCKETS]
