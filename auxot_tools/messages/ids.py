"""The ids that clients see for calls, and the way back to the upstream's, without state.

One job: ids. A call that we ran has an id of ours that holds the upstream's, and its place in its
turn: clients move blocks (Claude Code and the Vercel AI SDK put their own calls last, and a result
beside its call), and the upstream must see its turn as it wrote it. A client's own call keeps the
upstream's id, unless calls of ours stand before it in the turn. Only ids that we minted are ever
turned back. Must not know blocks, loops or transports.
"""

import base64
import binascii
import re
from dataclasses import dataclass

# "mcptoolu_auxot"; how often the upstream's id came before in the message; "c" and how many calls
# of ours, "m" and how many of the client's stand before it in its turn (each nothing for none);
# "s" and the session that we made for its conversation, when the call may leave something in it;
# "b" when the rest is base64url; "_"; and the upstream's id: as it is when it is made of id
# characters, else in base64url.
_COUNT = "[1-9][0-9]{0,5}"
_MINTED = re.compile(
    rf"mcptoolu_auxot(?P<repeat>{_COUNT})?(?:c(?P<ours>{_COUNT}))?(?:m(?P<clients>{_COUNT}))?"
    r"(?:s(?P<session>[0-9a-f]{16}))?(?P<coded>b)?_(?P<rest>.+)"
)
_ID_CHARACTERS = re.compile(r"[a-zA-Z0-9_-]+")
# At the end of a client's own id: how many calls of ours stand before it in its turn. With 0 the
# upstream's id itself ends like one of these, as it does with a router behind this router.
_MARKED = re.compile(r"(?P<id>.+)-auxot(?P<ours>0|[1-9][0-9]{0,5})", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a call stands in its turn: how many of our calls and the client's are before it."""

    ours_before: int = 0
    clients_before: int = 0


FIRST = Place()


def mint_id(upstream_id: str, repeat: int = 0, place: Place = FIRST, session: str = "") -> str:
    """The id a client sees for an upstream's `tool_use` that we ran.

    `repeat` counts earlier uses of the same id in one message: some upstreams number their calls
    from zero in every turn, and a client must not see one id twice. `session` is 16 hex digits, or
    empty: a client that names no session brings it back with its history.
    """
    counts = f"{repeat or ''}"
    counts += f"c{place.ours_before}" if place.ours_before else ""
    counts += f"m{place.clients_before}" if place.clients_before else ""
    counts += f"s{session}" if session else ""
    if _ID_CHARACTERS.fullmatch(upstream_id):
        return f"mcptoolu_auxot{counts}_{upstream_id}"
    coded = base64.urlsafe_b64encode(upstream_id.encode("utf-8", "surrogatepass"))
    return f"mcptoolu_auxot{counts}b_{coded.decode().rstrip('=')}"


def unmint_id(shown_id: object) -> str | None:
    """The upstream's id behind an id that we minted; `None` for any other id."""
    found = _MINTED.fullmatch(shown_id) if isinstance(shown_id, str) else None
    if found is None:
        return None
    upstream_id = _decoded(found["rest"]) if found["coded"] else found["rest"]
    repeat, session = int(found["repeat"] or 0), found["session"] or ""
    if not upstream_id or mint_id(upstream_id, repeat, _place(found), session) != shown_id:
        return None
    return upstream_id


def session_in_id(shown_id: object) -> str:
    """The session in an id that we minted; empty for none, and for any other id."""
    found = _MINTED.fullmatch(shown_id) if isinstance(shown_id, str) else None
    return found["session"] or "" if found else ""


def place_of(shown_id: str) -> Place:
    """Where the call with an id that we minted stands in its turn."""
    found = _MINTED.fullmatch(shown_id)
    return FIRST if found is None else _place(found)


def mark_client_id(upstream_id: str, ours_before: int) -> str:
    """The id a client sees for a call of its own, with so many calls of ours before it."""
    if ours_before or _MARKED.fullmatch(upstream_id):
        return f"{upstream_id}-auxot{ours_before}"
    return upstream_id


def unmark_client_id(shown_id: str) -> tuple[str, int]:
    """The upstream's id of a client's own call, and how many calls of ours stand before it."""
    found = _MARKED.fullmatch(shown_id)
    return (shown_id, 0) if found is None else (found["id"], int(found["ours"]))


def _place(found: re.Match[str]) -> Place:
    return Place(int(found["ours"] or 0), int(found["clients"] or 0))


def _decoded(coded: str) -> str:
    try:
        data = base64.urlsafe_b64decode(coded + "=" * (-len(coded) % 4))
        return data.decode("utf-8", "surrogatepass")
    except (binascii.Error, UnicodeError, ValueError):
        return ""
