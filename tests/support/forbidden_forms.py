"""The forms in which an address that must not be connected to can be written, named or reached.

One job: data. Each form is a URL, what the names in it resolve to, and a name for the test.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import quote

PUBLIC = "93.184.216.34"
PUBLIC6 = "2606:4700::1111"


@dataclass(frozen=True)
class Form:
    """`names`: the answers of the resolver, one after the other; the last one stays."""

    url: str
    names: dict[str, list[list[str]]] = field(default_factory=dict)


# Of every network that is not public: an address from inside, and from its edges.
LITERALS = (
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.254", "100.64.0.1", "100.127.255.254",
    "127.0.0.1", "127.255.255.254", "169.254.0.1", "169.254.169.254", "169.254.170.2",
    "172.16.0.1", "172.31.255.254", "192.0.0.1", "192.0.0.192", "192.0.2.1", "192.88.99.1",
    "192.168.0.1", "192.168.255.254", "198.18.0.1", "198.19.255.254", "198.51.100.1",
    "203.0.113.1", "240.0.0.1", "255.255.255.254", "100.100.100.200", "168.63.129.16",
    "::", "::1", "::2", "::7f00:1", "::a00:1", "64:ff9b::a00:1", "64:ff9b::5db8:d822",
    "64:ff9b:1::a00:1", "100::1", "2001::1", "2001:0:a00:1::1", "2001:2::1", "2001:10::1",
    "2001:20::1", "2001:db8::1", "2002:a00:1::1", "2002:7f00:1::", "2002:5db8:d822::1",
    "3fff::1", "5f00::1", "fc00::1", "fd00::1", "fd00:ec2::254", "fd20:ce::254", "fec0::1",
    "2606:4700::5efe:a00:1", "2606:4700::200:5efe:a00:1", "4000::1", "e000::1",
)  # fmt: skip
# TCP cannot connect to these, whoever asks; they are refused before anybody tries.
NO_TCP = ("224.0.0.1", "239.255.255.250", "255.255.255.255", "ff02::1", "ff0e::1", "fe80::1")
# What the kernel takes these for, or how it spells them.
READ_AS = {
    "::7f00:1": "::127.0.0.1",
    "::a00:1": "::10.0.0.1",
    "0.0.0.0": "127.0.0.1",
    "::": "::1",
    "::ffff:7f00:1": "127.0.0.1",
    "::ffff:a9fe:a9fe": "169.254.169.254",
    "::ffff:a00:1": "10.0.0.1",
}
MAPPED = tuple(address for address in READ_AS if address.startswith("::ffff"))

ODD_HOSTS = (
    "127.1", "127.0.1", "2130706433", "017700000001", "0x7f000001", "0x7f.0.0.1", "0x7f.1",
    "0X7F.1", "0177.0.0.1", "00000177.0.0.1", "127.0.0.1.", "127.000.000.001", "0", "0x0",
    "10.1", "167772161", "169.254.43518", "2852039166", "0xA9FEA9FE", "0251.0376.0251.0376",
    "①②⑦.⓪.⓪.①", "１２７.０.０.１", "127。0。0。1", "⑯⑨.254.169.254", "𝟏𝟐𝟕.𝟎.𝟎.𝟏",  # noqa: RUF001
    "%31%32%37.0.0.1", "127%2e0.0.1", "localhost%00.example.org", "127.0.0.1%00.example.org",
    "[::ffff:127.0.0.1]", "[::ffff:169.254.169.254]", "[0:0:0:0:0:ffff:7f00:0001]",
    "[::127.0.0.1]", "[0000:0000:0000:0000:0000:0000:0000:0001]", "[FD00:EC2::254]",
    "[64:ff9b::10.0.0.1]", "[fe80::1%25lo]", "[fe80::1%lo]", "[fe80::1%251]", "[::1%25lo]",
    "public.example@127.0.0.1", "public.example:80@127.0.0.1", "127.0.0.1:80@127.0.0.1",
    "public.example\\@127.0.0.1", "127.0.0.1\\@public.example", "127.0.0.1\t", "127.0.\n0.1",
    "[127.0.0.1]", "127.0.0.1:", "127.0.0.1:80:80",
)  # fmt: skip
ODD_URLS = (
    "http:127.0.0.1/", "http:/127.0.0.1/", "http:///127.0.0.1/", "//127.0.0.1/", "127.0.0.1",
    "http:\\\\127.0.0.1\\", "ftp://127.0.0.1/", "file:///etc/passwd", "gopher://127.0.0.1:80/_x",
    "http://127.0.0.1#@public.example/", "http://127.0.0.1?@public.example/",
    "https://127.0.0.1/", "https://10.0.0.1/", "http://public.example:22/", "http://127.0.0.1:22/",
    "unix:/run/docker.sock", "data:text/plain,x", "jar:http://127.0.0.1!/", "HTTP://LOCALHOST/",
)  # fmt: skip

NAMES = {"public.example": [[PUBLIC]], "localhost": [["127.0.0.1", "::1"]]}
# Names, and what they resolve to: one answer after the other.
RESOLVED = {
    "of-a-private-address": [["10.0.0.1"]],
    "of-loopback": [["127.0.0.1"]],
    "of-loopback-6": [["::1"]],
    "of-metadata": [["169.254.169.254"]],
    "of-metadata-6": [["fd00:ec2::254"]],
    "of-a-public-metadata-server": [["168.63.129.16"]],
    "of-a-mapped-address": [["::ffff:10.0.0.1"]],
    "of-nat64": [["64:ff9b::a00:1"]],
    "of-6to4": [["2002:a00:1::1"]],
    "of-a-scoped-address": [["fe80::1%lo"]],
    "of-unspecified": [["0.0.0.0"]],
    "of-unspecified-6": [["::"]],
    "of-public-then-private": [[PUBLIC, "10.0.0.1"]],
    "of-private-then-public": [["10.0.0.1", PUBLIC]],
    "of-public-then-private-6": [[PUBLIC, PUBLIC6, "fd00::1"]],
    "of-many-public-and-one-private": [[f"93.184.216.{last}" for last in range(60)] + ["10.0.0.1"]],
    "of-a-short-form": [["127.1"]],
    "of-no-address": [["localhost"]],
}
REDIRECTED_TO = (
    "http://10.0.0.1/", "http://127.0.0.1/", "//127.0.0.1/", "http://[::1]/",
    "http://169.254.169.254/latest/meta-data/", "http://[fd00:ec2::254]/", "http://2130706433/",
    "http://0x7f.1/", "http://[::ffff:127.0.0.1]/", "http://localhost/", "http://inside.example/",
    "http://public.example@127.0.0.1/", "http:\\\\127.0.0.1\\", "https://10.0.0.1/",
    "http://public.example:22/", "file:///etc/passwd", "http://①②⑦.⓪.⓪.①/",
)  # fmt: skip
INSIDE = {"inside.example": [["10.0.0.1"]]}


def url_of(address: str) -> str:
    return f"http://[{address}]/" if ":" in address else f"http://{address}/"


def redirecting(location: str, status: int = 302) -> str:
    return f"http://public.example/to/{status}/{quote(location, safe='')}"


def _forms() -> Iterator[tuple[str, Form]]:
    for address in (*LITERALS, *NO_TCP, *MAPPED):
        yield address, Form(url_of(address))
    for host in ODD_HOSTS:
        yield repr(host), Form(f"http://{host}/", NAMES)
    for url in ODD_URLS:
        yield repr(url), Form(url, NAMES)
    for name, answers in RESOLVED.items():
        yield f"name {name}", Form(f"http://{name}.example/", {f"{name}.example": answers})
    for location in REDIRECTED_TO:
        yield f"redirect to {location}", Form(redirecting(location), {**NAMES, **INSIDE})
    for status in (301, 303, 307, 308):
        yield f"redirect {status}", Form(redirecting("http://10.0.0.1/", status), NAMES)
    chain = redirecting(redirecting("http://10.0.0.1/"))
    yield "redirect after a redirect", Form(chain, NAMES)
    rebinding = {"public.example": [[PUBLIC], ["127.0.0.1"]]}
    yield "redirect to a name that is bound again", Form(redirecting("/again"), rebinding)


FORMS: dict[str, Form] = dict(_forms())
