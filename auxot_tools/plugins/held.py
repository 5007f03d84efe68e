"""Requests of a gateway whose loops are open: whose each is, and to which one an answer belongs.

One job: that nobody gets what is another's. Must not know which gateway it is, nor loops.
"""

import hashlib
import secrets
from typing import Any
from weakref import WeakKeyDictionary

from auxot_tools.errors import AuthenticationError
from auxot_tools.plugins.gateway import Held

# By what an owner is known, the first that is there: a key, else what a login says.
_IDENTITIES = ("token", "api_key", "user_id", "team_id", "org_id", "end_user_id")
_KEYS = ("token", "api_key")  # two names of one


def tenant_of(auth: object) -> str:
    """A name made of what a gateway knows of who asks (attributes as LiteLLM names them); empty
    when it knows nothing.
    """
    known = ((name, getattr(auth, name, None)) for name in _IDENTITIES)
    name, value = next((pair for pair in known if pair[1]), ("", ""))
    kind = "key" if name in _KEYS else name
    return hashlib.sha256(f"{kind}:{value}".encode()).hexdigest()[:32] if value else ""


def new_tenant(auth: object) -> str:
    """The tenant of a request that comes in: one of its own when nobody knows whose it is."""
    return tenant_of(auth) or secrets.token_hex(16)


class HeldRequests:
    """Found by the gateway's own record of a request, and kept as long as that lives.

    An id would not do: clients may choose ids, and choose the same.
    """

    def __init__(self) -> None:
        self._held: WeakKeyDictionary[Any, Held] = WeakKeyDictionary()

    def keep(self, record: object, held: Held) -> None:
        """Keep a request under its record."""
        self._held[record] = held

    def of(self, record: object, auth: object = None) -> Held | None:
        """The request of a record. Raises `AuthenticationError` when `auth` is another's."""
        held = None if record is None else self._held.get(record)
        asking = tenant_of(auth)
        if held is not None and asking and asking != held.tenant:
            raise AuthenticationError("This answer belongs to another key.")
        return held
