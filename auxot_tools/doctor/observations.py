"""What was given and what was seen, without any judgement.

One job: hold the facts that the rules look at. Must not know how they were come by.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from auxot_tools.doctor.base_url import BaseUrl, Client
from auxot_tools.doctor.key import KeyFacts
from auxot_tools.doctor.reading import Kind, Reading, read
from auxot_tools.net.exact import FailureKind

# Statuses with which a Messages endpoint answers a request that is not to its liking. 404 and 501
# are not among them: they say that this is no such endpoint.
_STATUSES_OF_AN_ENDPOINT = frozenset({200, 400, 401, 402, 403, 413, 422, 429, 502, 503, 504, 529})
# With these a server that knows the path refuses what was sent; many say so in words of another
# dialect. That a path beside it is not there shows that they speak of this one.
_REFUSALS = frozenset({400, 401, 403, 422})
NO_ENDPOINT = frozenset({404, 405, 410, 501})
# How our router speaks of its upstream's answer, and of a path of its own; `router/problems.py`.
_OF_UPSTREAM = "The upstream answered"
_OF_OUR_PATHS = ("not served here", "not implemented by this router", " takes only ")
_KEY_ERRORS = frozenset({"authentication_error", "auth_error", "invalid_api_key"})
_NOTHING = Reading(Kind.EMPTY)
_NO_KEY = KeyFacts()


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request and what came. With both a ``status`` and a ``failure`` it broke within the body.

    ``purpose`` names what it should find out, ``subject`` what it tried. ``pieces`` are the times
    (seconds after the request) and sizes of the body's pieces. ``sent`` says which key went along.
    """

    purpose: str
    url: str
    method: str = "POST"
    subject: str = ""
    sent: str = "no key"
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = field(default=b"", repr=False)
    failure: FailureKind | None = None
    failure_text: str = ""
    at_s: float = 0.0
    pieces: tuple[tuple[float, int], ...] = ()

    @property
    def reading(self) -> Reading:
        return _NOTHING if self.status is None else read(self.status, self.headers, self.body)

    @property
    def content_type(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def is_ok(self) -> bool:
        """A message came, whole or as a stream, or the key was accepted and the body was not."""
        reading = self.reading
        if reading.kind in {Kind.MESSAGE, Kind.STREAM}:
            return self.status == 200 and self.failure is None
        return reading.kind is Kind.MESSAGES_ERROR and self.status in {400, 422}

    @property
    def is_message(self) -> bool:
        """A message came, whole or as a stream that has its end."""
        is_kind = self.reading.kind in {Kind.MESSAGE, Kind.STREAM}
        return is_kind and self.status == 200 and self.failure is None

    @property
    def refuses_key(self) -> bool:
        """401 or 403, or a 400 that speaks of the key, as LiteLLM's."""
        return self.status in {401, 403} or (
            self.status == 400 and self.reading.error_type.lower() in _KEY_ERRORS
        )

    @property
    def may_be_endpoint(self) -> bool:
        """It refuses as an API does, though not in the words of Messages.

        The server of llama.cpp does so with a 500: "'messages' is required".
        """
        misses_a_field = self.status == 500 and "required" in self.reading.message
        refuses = self.status in _REFUSALS or misses_a_field
        return refuses and self.reading.kind in {Kind.OPENAI_ERROR, Kind.JSON}

    @property
    def speaks_messages(self) -> bool:
        """A Messages endpoint is there, whatever it thinks of the request."""
        if self.reading.kind in {Kind.MESSAGE, Kind.STREAM}:
            return True
        is_error = self.reading.kind is Kind.MESSAGES_ERROR
        return is_error and self.status in _STATUSES_OF_AN_ENDPOINT


@dataclass(frozen=True, slots=True)
class Observations:
    """All that is known. ``base`` is ``None`` when no URL is known (a paste without one).

    ``sent_headers`` (names in lower case, no keys in them) are those of the client's own request.
    ``proxies`` maps environment names to `host:port`. ``was_tried``: requests were made here.
    """

    base: BaseUrl | None = None
    key: KeyFacts = _NO_KEY
    client: Client = Client.ANTHROPIC
    attempts: tuple[Attempt, ...] = ()
    sent_headers: Mapping[str, str] = field(default_factory=dict)
    proxies: Mapping[str, str] = field(default_factory=dict)
    model: str = ""
    was_tried: bool = True

    def of(self, purpose: str, subject: str = "") -> tuple[Attempt, ...]:
        """The attempts for a purpose, and of a subject if one is named."""
        return tuple(
            one
            for one in self.attempts
            if one.purpose == purpose and (not subject or one.subject == subject)
        )

    def first(self, purpose: str, subject: str = "") -> Attempt | None:
        return next(iter(self.of(purpose, subject)), None)

    def is_endpoint(self, one: Attempt) -> bool:
        """Whether ``one`` met a Messages endpoint: by its words, or as a path beside it is none."""
        if one is self.asked and self.is_upstreams_refusal:
            return True
        if one.speaks_messages or not one.may_be_endpoint:
            return one.speaks_messages
        folder = one.url.rpartition("/")[0]
        beside = [other for other in self.of("beside") if other.url.rpartition("/")[0] == folder]
        return any(other.status in NO_ENDPOINT for other in beside)

    @property
    def asked(self) -> Attempt | None:
        """The client's own request; with a model that is served, if its own is not."""
        return self.first("model") or self.first("asked")

    @property
    def reading(self) -> Reading:
        """What came of the client's own request."""
        return self.asked.reading if self.asked else _NOTHING

    @property
    def status(self) -> int:
        """Of the client's own request; 0 when there was none."""
        return (self.asked.status or 0) if self.asked else 0

    @property
    def failure(self) -> FailureKind | None:
        return self.asked.failure if self.asked else None

    @property
    def is_upstreams_refusal(self) -> bool:
        """A router of ours took the request, and its upstream says that it has no such endpoint.

        Its words say so, or its `/health` says that it is ours and the path is one of its own.
        """
        reading, health = self.reading, self.first("health")
        if reading.kind is not Kind.MESSAGES_ERROR or self.status not in NO_ENDPOINT:
            return False
        if reading.message.startswith(_OF_UPSTREAM):
            return True
        told = health.reading.value if health else None
        is_ours = isinstance(told, dict) and isinstance(told.get("providers"), list)
        return is_ours and not any(words in reading.message for words in _OF_OUR_PATHS)

    @property
    def good_root(self) -> str | None:
        """The path where a Messages endpoint was found in place of the one that was asked for."""
        found = [one for one in self.of("path") if self.is_endpoint(one)]
        best = next((one for one in found if not one.refuses_key), next(iter(found), None))
        return best.subject if best else None
