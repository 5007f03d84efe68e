"""Finds out by trying: a few small requests, each for one question, to the host that was named.

One job: from a URL and a key to `Observations`. It judges only as far as the next question depends
on it. The key goes to the very origin that the person named and nowhere else: not to another port
or scheme of that host, and no redirect is followed. At most `ProbeOptions.requests` requests
within `total_s` seconds; two of them cost tokens, at most 80 together.
"""

import json
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field

from auxot_tools.doctor.asking import KEY_HEADERS, Asker
from auxot_tools.doctor.base_url import BaseUrl, Client
from auxot_tools.doctor.key import KeyFacts
from auxot_tools.doctor.observations import Attempt, Observations
from auxot_tools.doctor.reading import Kind, Reading, model_ids
from auxot_tools.net.exact import ExactClient, ExactLimits, FailureKind

VERSION, NEW_VERSION = "2023-06-01", "2026-10-21"  # both live: `clients.md`, section 0
VERSIONS = frozenset({VERSION, NEW_VERSION, "2023-01-01"})
LARGE_BYTES = 1_500_000  # above the 1 MB that proxies commonly allow; images make bodies larger
ANY_MODEL = "claude-sonnet-5-5"  # one that Claude Code asks for; for servers that list none
_EMPTY_BODY = b"{}"  # refused by every Messages endpoint before any model is asked
NOBODYS_PATH = "auxot-doctor-looks"  # a path that no server has
_COUNTING = "Count from 1 to 30 in digits, separated by spaces."
_OTHER_SCHEME = {"http": "https", "https": "http"}
_MAYBE_ANOTHER_PROTOCOL = frozenset({FailureKind.TLS, FailureKind.NOT_HTTP, FailureKind.CLOSED})
_NOT_THERE = frozenset({FailureKind.REFUSED, FailureKind.TIMED_OUT, FailureKind.UNREACHABLE})
_OPENAI_ROOTS = ("", "/api/openai")


_LIMITS = ExactLimits(connect_s=5, first_byte_s=20, idle_s=20, max_bytes=2**18)


@dataclass(frozen=True, slots=True)
class ProbeOptions:
    """Limits, and what is guessed. ``ports`` of the named host are looked at without a key."""

    limits: ExactLimits = _LIMITS
    total_s: float = 150.0
    requests: int = 40
    ports: tuple[int, ...] = (8080, 443, 80, 8443, 4000)
    ssl_context: ssl.SSLContext | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """What a person has: the base URL, the key, and what their client adds.

    ``headers``: the client's own, in place of those that the official SDKs send. Raw keys in them
    count as ``key``.
    """

    base: BaseUrl
    key: KeyFacts = field(default_factory=KeyFacts)
    headers: Mapping[str, str] = field(default_factory=dict)
    model: str = ""
    proxies: Mapping[str, str] = field(default_factory=dict)


async def observe(question: Question, options: ProbeOptions | None = None) -> Observations:
    """Ask until the cause can be told. Never raises for anything that a server does."""
    options = options or ProbeOptions()
    async with ExactClient(options.limits, options.ssl_context) as http:
        prober = _Prober(question, options, http)
        if not question.base.problem:
            await prober.run()
    return prober.seen


class _Prober:
    """The stages, in order, over one client."""

    def __init__(self, question: Question, options: ProbeOptions, http: ExactClient) -> None:
        self._question, self._options, self._base = question, options, question.base
        self.model = question.model or "auto"
        answer_s = options.limits.first_byte_s + options.limits.idle_s
        origin = question.base.origin()
        self._ask = Asker(
            http, origin, options.requests, answer_s=answer_s, total_s=options.total_s
        )
        self._given = {name.lower(): value for name, value in question.headers.items()}
        key = question.key
        self._as_given = (key.given or "") if key.is_sendable else _sendable(key.clean)
        self._clean = _sendable(key.clean)

    @property
    def plain_headers(self) -> dict[str, str]:
        """What the client's own request carries, without any key."""
        headers = self._own_headers()
        shown = {name: value for name, value in headers.items() if name not in KEY_HEADERS}
        for name in KEY_HEADERS & headers.keys():
            shown[name] = headers[name].partition(" ")[0] if name == "authorization" else "key"
        return shown

    @property
    def seen(self) -> Observations:
        """All that is known by now."""
        question = self._question
        return Observations(
            base=question.base,
            key=question.key,
            client=question.base.client,
            attempts=tuple(self._ask.attempts),
            sent_headers=self.plain_headers,
            proxies=question.proxies,
            model=self.model,
        )

    async def run(self) -> None:
        """All stages."""
        asked = await self._ask.post(
            "asked", self._base.asked_url, self._hello(), self._own_headers(), sent=self._own_form()
        )
        if asked.status is None:
            await self._look_elsewhere(asked)
            return
        if asked.failure is not None:  # every other answer would be waited for as long
            return
        await self._ask.get("health", f"{self._base.origin()}/health")
        reading = asked.reading
        if reading.kind is Kind.REDIRECT:
            await self._look_at_scheme(_OTHER_SCHEME[self._base.scheme])
        if is_model_unknown(asked, self.model):
            asked = await self._ask_with_a_served_model()
        root: str | None = _root_of(self._base)
        found: Attempt | None = asked
        if not await self._is_endpoint(asked, self._own_headers()):
            root, found = await self._search_paths(root)
        if root is None or found is None:
            if not asked.refuses_key:
                await self._search_openai()
                return
            root, found = _root_of(self._base), asked
        if found.refuses_key and self._question.key.is_there:
            found = await self._search_keys(root, found)
        if found is not asked and found.is_ok:
            await self._ask_there(root)
        if found.status == 400 and asked is found:
            await self._search_version(asked)
        if found.is_ok and found.status != 400:
            await self._try_the_rest(root)

    # What the client sends.

    def _own_headers(self) -> dict[str, str]:
        if not self._given:
            return self._headers("x-api-key")
        headers = {"content-type": "application/json"} | self._given
        if not KEY_HEADERS & headers.keys() and self._as_given:
            headers["x-api-key"] = self._as_given
        return {name: _sendable(value) for name, value in headers.items()}

    def _own_form(self) -> str:
        if not self._as_given:
            return "no key"
        headers = self._own_headers()
        return "both" if headers.keys() >= KEY_HEADERS else _form_of(headers)

    def _headers(self, form: str, key: str | None = None, version: str = VERSION) -> dict[str, str]:
        key = self._as_given if key is None else key
        headers = {"content-type": "application/json", "anthropic-version": version}
        if key and form in {"x-api-key", "both"}:
            headers["x-api-key"] = key
        if key and form in {"bearer", "both"}:
            headers["authorization"] = f"Bearer {key}"
        return headers

    def _hello(self) -> bytes:
        return self._body("Say hi.", max_tokens=16)

    def _body(self, text: str, max_tokens: int, **more: object) -> bytes:
        message = {"role": "user", "content": text}
        body = {"model": self.model, "max_tokens": max_tokens, "messages": [message]} | more
        return json.dumps(body).encode()

    # The stages.

    async def _look_elsewhere(self, asked: Attempt) -> None:
        """No answer: is it another scheme, another port, or is nobody there?"""
        if asked.failure in _MAYBE_ANOTHER_PROTOCOL | {FailureKind.TIMED_OUT}:
            await self._look_at_scheme(_OTHER_SCHEME[self._base.scheme])
        if asked.failure is FailureKind.TIMED_OUT:
            await self._ask.get("health", f"{self._base.origin()}/health")
        is_there = self._found("health") or self._found("scheme")
        if asked.failure not in _NOT_THERE or is_there:
            return
        for port in self._options.ports:
            if port == self._base.port:
                continue
            for scheme in (self._base.scheme, _OTHER_SCHEME[self._base.scheme]):
                url = f"{self._base.origin(scheme, port)}/api/anthropic/v1/messages"
                look = await self._ask.post(
                    "port", url, _EMPTY_BODY, _PLAIN, subject=f"{scheme}:{port}"
                )
                if look.speaks_messages:
                    return
                if look.failure in _NOT_THERE:
                    break

    async def _look_at_scheme(self, scheme: str) -> None:
        """The same port by another scheme, and for a default port that scheme's. Without a key."""
        own = {"http": 80, "https": 443}
        is_default = self._base.port == own[self._base.scheme]
        ports = [self._base.port, own[scheme]] if is_default else [self._base.port]
        for port in ports:
            path = self._base.asked_url.removeprefix(self._base.origin())
            url = self._base.origin(scheme, port) + path
            await self._ask.post("scheme", url, _EMPTY_BODY, _PLAIN, subject=scheme)

    async def _ask_with_a_served_model(self) -> Attempt:
        """The same with a model that the server lists."""
        asked = self._ask.attempts[0]
        url = f"{self._base.origin()}{_root_of(self._base)}/v1/models"
        listed = await self._ask.get("models", url, self._own_headers(), sent=self._own_form())
        if self._question.model:
            return asked
        self.model = next(iter(model_ids(listed.reading)), ANY_MODEL)
        return await self._ask.post(
            "model", self._base.asked_url, self._hello(), self._own_headers(), sent=self._own_form()
        )

    async def _search_paths(self, asked_root: str | None) -> tuple[str | None, Attempt | None]:
        """Where on this origin a Messages endpoint is; the best of those found."""
        best: tuple[str | None, Attempt | None] = (None, None)
        for root in self._base.roots():
            url = f"{self._base.origin()}{root}/v1/messages"
            if root == asked_root and url == self._base.asked_url:
                continue
            headers = self._headers("both", self._clean)
            look = await self._ask.post(
                "path", url, _EMPTY_BODY, headers, subject=root, sent=_sent("both", self._clean)
            )
            if not await self._is_endpoint(look, headers):
                continue
            if not look.refuses_key:
                return root, look
            if best[0] is None:
                best = (root, look)
        return best

    async def _ask_there(self, root: str) -> None:
        """The client's request where it should have gone: is a model behind it?"""
        url = f"{self._base.origin()}{root}/v1/messages"
        headers, sent = self._headers("both", self._clean), _sent("both", self._clean)
        for model in dict.fromkeys((self.model, self._question.model or ANY_MODEL)):
            body = self._body("Say hi.", max_tokens=16, model=model)
            there = await self._ask.post("there", url, body, headers, subject=root, sent=sent)
            if not is_model_unknown(there, model):
                return

    async def _is_endpoint(self, look: Attempt, headers: Mapping[str, str]) -> bool:
        """By its words, or as a path beside it that nobody serves is not there.

        ``headers`` are those of the look: the key in another header could be let in to both.
        """
        if look.may_be_endpoint and not look.speaks_messages:
            url = f"{look.url.rpartition('/')[0]}/{NOBODYS_PATH}"
            await self._ask.post("beside", url, _EMPTY_BODY, headers, sent=look.sent)
        return self.seen.is_endpoint(look)

    async def _search_openai(self) -> None:
        for root in _OPENAI_ROOTS:
            url = f"{self._base.origin()}{root}/v1/chat/completions"
            headers = self._headers("bearer", self._clean)
            sent = _sent("bearer", self._clean)
            await self._ask.post("openai", url, _EMPTY_BODY, headers, subject=root, sent=sent)

    async def _search_keys(self, root: str, refused: Attempt) -> Attempt:
        """The key in the other header, and without what does not belong to it."""
        url = f"{self._base.origin()}{root}/v1/messages"
        own_first = sorted(_FORMS, key=lambda form: form != self._own_form())
        ways = [(form, key) for key in (self._as_given, self._clean) for form in own_first]
        for form, key in dict.fromkeys(ways):
            if key == self._as_given and form == self._own_form() and not self._given:
                continue
            subject = form if key == self._as_given else f"{form}, cleaned"
            look = await self._ask.post(
                "key", url, _EMPTY_BODY, self._headers(form, key), subject=subject, sent=form
            )
            if not look.refuses_key:
                return look
        return refused

    async def _search_version(self, asked: Attempt) -> None:
        sent = self._own_headers().get("anthropic-version", "")
        if sent == VERSION and "version" not in asked.reading.message:
            return
        headers = self._own_headers() | {"anthropic-version": VERSION}
        await self._ask.post(
            "version",
            self._base.asked_url,
            self._hello(),
            headers,
            subject=VERSION,
            sent=self._own_form(),
        )

    async def _try_the_rest(self, root: str) -> None:
        """All is well so far: what breaks other clients, large requests and streams?"""
        url = f"{self._base.origin()}{root}/v1/messages"
        if self._as_given:
            for form in _FORMS:
                if form != self._own_form():
                    headers = self._headers(form)
                    await self._ask.post("form", url, _EMPTY_BODY, headers, subject=form, sent=form)
        headers = self._headers(self._working_form(), version=NEW_VERSION)
        sent = _sent(self._working_form(), self._as_given)
        await self._ask.post("version", url, _EMPTY_BODY, headers, subject=NEW_VERSION, sent=sent)
        headers = self._headers(self._working_form())
        if self._base.literal_url != self._base.asked_url and not self._base.has_query:
            await self._ask.post("slash", self._base.literal_url, _EMPTY_BODY, headers, sent=sent)
        large = _EMPTY_BODY.ljust(LARGE_BYTES)
        await self._ask.post("large", url, large, headers, sent=sent)
        body = self._body(_COUNTING, max_tokens=64, stream=True)
        headers |= {"accept-encoding": "gzip, deflate"}  # as the SDKs do
        await self._ask.post("stream", url, body, headers, sent=sent)

    def _working_form(self) -> str:
        form = self._own_form()
        return form if form in _FORMS else "x-api-key"

    def _found(self, purpose: str) -> bool:
        return any(one.purpose == purpose and one.status is not None for one in self._ask.attempts)


_FORMS = ("x-api-key", "bearer")
_PLAIN = {"content-type": "application/json", "anthropic-version": VERSION}


def _form_of(headers: Mapping[str, str]) -> str:
    return "x-api-key" if "x-api-key" in headers else "bearer"


def _sent(form: str, key: str) -> str:
    return form if key else "no key"


def _sendable(text: str) -> str:
    """What a header can carry of it."""
    return "".join(one for one in text if " " <= one <= "~")


def _root_of(base: BaseUrl) -> str:
    """The path before `/v1/messages` of what the client asks for; of others the base's own."""
    path = base.path.rstrip("/")
    return path if base.client is Client.ANTHROPIC else path.removesuffix("/v1")


def is_model_unknown(asked: Attempt, model: str) -> bool:
    """The endpoint is right, and says that it does not serve the model."""
    reading = asked.reading
    is_said = model in reading.message or "model" in reading.message.lower()
    is_error = reading.kind is Kind.MESSAGES_ERROR or is_model_refused(reading, model)
    return asked.status in {400, 404} and is_error and is_said


def is_model_refused(reading: Reading, model: str) -> bool:
    """The same in the words of the other dialect, as some servers say it at both endpoints."""
    words = reading.message.lower()
    is_named = bool(model) and re.search(rf"(?<!\w){re.escape(model.lower())}(?!\w)", words)
    return reading.kind is Kind.OPENAI_ERROR and "model" in words and bool(is_named)
