"""Pastes that somebody made to harm: slow ones, with passwords, with brackets that never close."""

import json
from dataclasses import replace

import pytest

from auxot_tools.doctor.base_url import BaseUrl
from auxot_tools.doctor.key import KeyFacts, Redactor
from auxot_tools.doctor.observations import Attempt, Observations
from auxot_tools.doctor.pasted import MAX_CHARS, observe_pasted
from auxot_tools.doctor.reading import Kind, read
from auxot_tools.doctor.report import as_json, lines
from auxot_tools.doctor.rules import diagnose
from auxot_tools.doctor.table import RULES


def printed(text: str, url: str = "") -> str:
    seen = observe_pasted(text, url)
    findings = diagnose(seen, RULES)
    return "\n".join(lines(seen, findings)) + json.dumps(as_json(seen, findings))


# what stands before, and what is repeated until the paste is as long as it may be: each took time
# with the square of the length once (hours), or would with one careless expression more
SLOW = (
    ("", "\n"),
    ("", "<\n"),
    ("HTTP/1.1 404 X\na: b", " "),
    ("", "unable to get "),
    ("", "curl: (28) "),
    ("", "failed to connect "),
    ("HTTP/1.1 404 X\n\n", "-H 'a:"),
    ("HTTP/1.1 404 X\n\n-H '", '-H "b:'),
    ("Error code: 401 - <", "<title>"),
    ("Error code: 401 - <", "<title"),
    ("Error code: 401 - <", "<"),
    ("ANTHROPIC_BASE_URL=http://h", "/v1"),
    ("ANTHROPIC_BASE_URL=http://h", "/messages"),
    ("", "status "),
    ("HTTP/1.1 401 X\n\n", "authorization:"),
    ("HTTP/1.1 401 X\n\n", 'x-api-key: "'),
    ("HTTP/1.1 200 X\n\nevent: error\n", 'data: {"type": "error"'),
    ("HTTP/1.1 404 X\n\n", "http://a@"),
)


@pytest.mark.parametrize(("before", "part"), SLOW)
def test_a_paste_of_any_kind_is_read_in_time_that_grows_with_its_length(
    before: str, part: str
) -> None:
    printed(before + part * (MAX_CHARS // len(part) - 30) + "x")


SECRET = "swordfish"


@pytest.mark.parametrize("text", [
    f"HTTP/1.1 404 X\n\n{{}}\nPOST http://me:{SECRET}@h:8080/v1/messages",
    f"HTTP/1.1 404 X\n\n{{}}\nPOST http://me:a@{SECRET}@h:8080/v1/messages",
    f"HTTP/1.1 404 X\n\n{{}}\nPOST http://me:{SECRET}/x@h:8080/v1/messages",
    f"HTTP/1.1 404 X\n\n{{}}\nANTHROPIC_BASE_URL=http://me:{SECRET}@h:8080",
    f"HTTP/1.1 302 X\nLocation: https://me:{SECRET}@login.h/\n\n",
    f'HTTP/1.1 404 X\n\n{{"error": {{"message": "http://me:{SECRET}@h/x", "type": "a"}}}}',
])  # fmt: skip
def test_a_password_in_a_pasted_url_is_not_shown(text: str) -> None:
    assert SECRET not in printed(text)


@pytest.mark.parametrize("url", ["http://me:12#swordfish@h", "http://me:1/swordfish@h:8080/v1"])
def test_a_password_with_signs_of_a_url_is_told_and_not_shown(url: str) -> None:
    assert "password" in BaseUrl(url).problem
    seen = Observations(base=BaseUrl(url))
    findings = diagnose(seen, RULES)
    assert findings[0].id == "url_invalid"
    assert SECRET not in "\n".join(lines(seen, findings))


@pytest.mark.parametrize("text", [
    "HTTP/1.1 404 X\n\nhttp://[bad/v1/messages",
    "HTTP/1.1 302 X\nLocation: http://[bad\n\n",
    "POST http://[::1/v1/messages HTTP/1.1 404 X",
    'HTTP/1.1 400 X\n\n{"type": "error", "error": {"type": "x", "message": "\\ud800"}}',
])  # fmt: skip
def test_what_cannot_be_a_url_or_a_character_ends_in_no_traceback(text: str) -> None:
    printed(text).encode()


def test_names_of_models_and_servers_are_nothing_that_a_shell_obeys() -> None:
    listed = Attempt(
        "models", "http://h/v1/models", status=200, body=b'{"data": [{"id": "a; $(touch x)"}]}'
    )
    told = b'{"type": "error", "error": {"type": "not_found_error", "message": "model: auto"}}'
    asked = Attempt("asked", "http://h/v1/messages", status=404, body=told)
    seen = Observations(base=BaseUrl("http://h"), model="auto", attempts=(asked, listed))
    (finding,) = diagnose(seen, RULES)
    assert "'a; $(touch x)'" in finding.fix
    limited = replace(asked, status=500, headers={"request-id": "`a`$(b)"})
    (finding,) = diagnose(replace(seen, attempts=(limited,)), RULES)
    assert not set("`$") & set(finding.fix.replace("`/health`", ""))


@pytest.mark.parametrize("key", ["ab", "abc", "k3y"])
def test_a_short_key_is_hidden_where_it_stands_alone(key: str) -> None:
    assert Redactor([KeyFacts(key)]).clean(f"key {key}, {key}s") == (
        f"key [{KeyFacts(key).shown}], {key}s"
    )


def test_json_that_is_too_deep_to_be_walked_through_is_text() -> None:
    deep = b'{"type":"message","content":[],"x":' + b"[" * 900 + b"]" * 900 + b"}"
    assert read(200, {}, deep).kind is Kind.TEXT
