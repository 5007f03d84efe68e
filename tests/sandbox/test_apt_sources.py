"""Only the distribution's own archive feeds the image."""

import pytest

from auxot_tools.sandbox.apt_sources import archive_lines

KEY = "/usr/share/keyrings/debian-archive-keyring.gpg"

DEB822 = f"""\
# the archive
Types: deb deb-src
URIs: http://mirror.invalid/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: {KEY}

Types: deb
URIs: http://mirror.invalid/debian-security
Suites: bookworm-security
Components: main
Signed-By: {KEY}
"""


def test_deb822_sources_become_one_line_entries() -> None:
    assert archive_lines({"debian.sources": DEB822}, "bookworm") == [
        f"deb [signed-by={KEY}] http://mirror.invalid/debian bookworm main",
        f"deb [signed-by={KEY}] http://mirror.invalid/debian bookworm-updates main",
        f"deb [signed-by={KEY}] http://mirror.invalid/debian-security bookworm-security main",
    ]


def test_one_line_entries_are_read_with_and_without_options() -> None:
    text = """\
deb http://mirror.invalid/ubuntu noble main restricted universe  # the archive
deb [arch=all signed-by=/x/ubuntu-archive-keyring.gpg] http://m.invalid noble-updates main
deb-src http://mirror.invalid/ubuntu noble main
# deb http://mirror.invalid/ubuntu noble-security main
"""
    assert archive_lines({"sources.list": text}, "noble") == [
        "deb http://mirror.invalid/ubuntu noble main universe",
        ("deb [signed-by=/x/ubuntu-archive-keyring.gpg] http://m.invalid noble-updates main"),
    ]


@pytest.mark.parametrize(
    "stanza",
    [
        "Types: deb\nURIs: http://x.invalid\nSuites: bookworm\nComponents: stable",
        "Types: deb\nURIs: http://x.invalid\nSuites: bookworm-pgdg\nComponents: main",
        "Types: deb\nURIs: http://x.invalid\nSuites: nodistro\nComponents: main",
        (
            "Types: deb\nURIs: http://x.invalid\nSuites: bookworm\nComponents: main\n"
            "Signed-By: /etc/apt/keyrings/docker.asc"
        ),
        "Types: deb\nURIs: http://x.invalid\nSuites: trixie\nComponents: main",
        "Types: deb-src\nURIs: http://x.invalid\nSuites: bookworm\nComponents: main",
        "Enabled: no\nTypes: deb\nURIs: http://x.invalid\nSuites: bookworm\nComponents: main",
        "",
        "nonsense",
    ],
)
def test_other_archives_other_releases_and_nonsense_are_left_out(stanza: str) -> None:
    assert archive_lines({"x.sources": stanza}, "bookworm") == []


def test_an_entry_that_is_named_twice_is_used_once() -> None:
    assert len(archive_lines({"a.sources": DEB822, "b.sources": DEB822}, "bookworm")) == 3
