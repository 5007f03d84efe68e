"""What is pasted (answers, curl's output, SDKs' errors) is read, and the fault in it named."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auxot_tools.doctor.key import KeyFacts
from auxot_tools.doctor.pasted import MAX_CHARS, observe_pasted
from auxot_tools.doctor.reading import Kind
from auxot_tools.doctor.report import as_json, lines
from auxot_tools.doctor.rules import diagnose
from auxot_tools.doctor.table import RULES

KEY = "rtr_" + "k3y" * 14 + "k"
UNAUTHORIZED = (
    '{"type":"error","error":{"type":"authentication_error","message":"Invalid API key."},'
    '"request_id":"req_1"}'
)
NGINX = "<html><head><title>404 Not Found</title></head><body>nginx</body></html>"
CURL_I = f"""HTTP/1.1 401 Unauthorized
content-type: application/json
date: Tue, 24 Nov 2026 10:00:00 GMT

{UNAUTHORIZED}
"""
CURL_V = f"""*   Trying 10.0.0.5:8080...
* Connected to gpu.internal (10.0.0.5) port 8080
> POST /api/anthropic/v1/messages HTTP/1.1
> Host: gpu.internal:8080
> User-Agent: curl/8.5.0
> Authorization: bearer {KEY}
> anthropic-version: 2023-06-01
> content-type: application/json
> Content-Length: 80
>
< HTTP/1.1 401 Unauthorized
< content-type: application/json
<
* Connection #0 to host gpu.internal left intact
{UNAUTHORIZED}
"""
# what is pasted -> what is found
PASTES = {
    CURL_I: "key_unknown",
    CURL_I.replace("\n", "\r\n"): "key_unknown",
    CURL_V: "bearer_in_lower_case",
    f"{CURL_I}\nANTHROPIC_API_KEY=adm_{'a' * 43}": "key_for_workers",
    f'{CURL_I}\nexport ANTHROPIC_API_KEY="Bearer {KEY}"': "key_with_bearer",
    f"{CURL_I}\nx-api-key: $ANTHROPIC_API_KEY": "key_not_expanded",
    f"{CURL_I}\nx-api-key: sk-ant-api03-abcdefghijklmnop": "key_of_anthropic",
    "HTTP/1.1 401 Unauthorized\n\n"
    + UNAUTHORIZED.replace(
        "Invalid API key.", "Missing API key. Set the x-api-key header or use Bearer token."
    ): "key_missing",
    'HTTP/1.1 404 Not Found\r\n\r\n{"error":{"message":"endpoint not found","type":"not_found"}}'
    "\nANTHROPIC_BASE_URL=http://h:8080": "api_path_missing",
    "HTTP/1.1 404 Not Found\n\n{}\nPOST http://h:8080/api/openai/v1/v1/messages": "openai_path",
    "HTTP/1.1 501 Not Implemented\n\n{}\nhttp://h/api/anthropic/v1/v1/v1/messages": "v1_repeated",
    f"HTTP/1.1 404 Not Found\nServer: nginx\nContent-Type: text/html\n\n{NGINX}": "web_page",
    "HTTP/1.1 301 Moved\nLocation: https://h/api/anthropic/v1/messages\n\n"
    "from http://h/api/anthropic/v1/messages": "redirect_to_https",
    "HTTP/1.1 302 Found\nLocation: https://login.corp.example/sso\n\n": "redirect_to_login",
    "HTTP/1.1 403 Forbidden\nServer: cloudwall\nContent-Type: text/html\n\n<html>Denied</html>":
        "blocked_before_the_server",
    "HTTP/1.1 413 Payload Too Large\nServer: nginx\n\n<html>413</html>": "request_too_large",
    "HTTP/1.1 502 Bad Gateway\nServer: nginx\n\n<html>502 Bad Gateway</html>": "backend_down",
    'HTTP/2 529 \n\n{"type":"error","error":{"type":"overloaded_error","message":"none online"}}':
        "provider_offline",
    "HTTP/1.1 429 Too Many Requests\nretry-after: 9\n\n{}": "rate_limited",
    'HTTP/1.1 100 Continue\n\nHTTP/1.1 400 Bad Request\n\n{"type":"error","error":{"type":'
    '"invalid_request_error","message":"anthropic-version: header is required"}}':
        "version_missing",
    "anthropic.AuthenticationError: Error code: 401 - {'type': 'error', 'error': {'type': "
    "'authentication_error', 'message': 'Invalid API key.'}, 'request_id': None}": "key_unknown",
    "anthropic.NotFoundError: Error code: 404 - {'type': 'error', 'error': {'type': "
    "'not_found_error', 'message': 'model: auto'}}": "model_unknown",
    f"AuthenticationError: 401 {UNAUTHORIZED}": "key_unknown",
    f"API Error: 401 {UNAUTHORIZED} · Please run /login": "key_unknown",
    "There's an issue with the selected model (claude-opus-5-5). It may not exist or you may not "
    "have access to it.": "no_endpoint",
    UNAUTHORIZED: "key_unknown",
    "Not logged in · Please run /login": "key_missing",
    "503 Service Unavailable: upstream connect error. HTTP/1.1 503": "backend_down",
    "Traceback\n  Anthropic(base_url=base, api_key=key)\nhttpx2.ConnectError: [Errno 111] "
    "Connection refused\nanthropic.APIConnectionError: Connection error.": "refused",
    "curl: (6) Could not resolve host: gpu.intrenal": "host_unknown",
    "curl: (7) Failed to connect to localhost port 8080 after 0 ms: Couldn't connect": "refused",
    "curl: (60) SSL certificate problem: self-signed certificate": "certificate_self_signed",
    "curl: (60) SSL certificate problem: certificate has expired": "certificate_expired",
    "curl: (60) SSL: no alternative certificate subject name matches target host name 'h'":
        "certificate_of_another_host",
    "curl: (35) error:0A00010B:SSL routines::wrong version number\nhttps://h:8080/x":
        "https_on_http_port",
    "curl: (52) Empty reply from server": "closed",
    "curl: (28) Operation timed out after 10001 milliseconds with 0 bytes received":
        "server_hangs",
    "curl: (28) Failed to connect to h port 8080 after 10 ms: Connection timed out": "unreachable",
    "Error: connect ECONNREFUSED 127.0.0.1:8080": "refused",
    "TypeError: fetch failed cause: getaddrinfo ENOTFOUND router.internal": "host_unknown",
    "httpx.ConnectError: [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: unable to get "
    "local issuer certificate": "certificate_untrusted",
    "Error: DEPTH_ZERO_SELF_SIGNED_CERT": "certificate_self_signed",
}  # fmt: skip


@pytest.mark.parametrize("text", PASTES)
def test_the_fault_in_a_paste_is_named(text: str) -> None:
    seen = observe_pasted(text)
    findings = diagnose(seen, RULES)
    assert findings, seen
    assert findings[0].id == PASTES[text]
    assert "{" not in findings[0].fix or "default_headers" in findings[0].fix
    printed = "\n".join(lines(seen, findings)) + str(as_json(seen, findings))
    assert KEY not in printed


def test_a_good_answer_that_is_pasted_has_no_fault() -> None:
    seen = observe_pasted('HTTP/1.1 200 OK\ncontent-type: application/json\n\n'
                          '{"type":"message","content":[]}')  # fmt: skip
    assert diagnose(seen, RULES) == ()


def test_what_is_given_beside_the_paste_counts() -> None:
    seen = observe_pasted(CURL_I, "http://h:8080/api/anthropic", KeyFacts("tls_" + "a" * 43))
    assert [one.id for one in diagnose(seen, RULES)] == ["key_for_workers"]


def test_the_right_base_url_is_advised_where_nothing_can_be_tried() -> None:
    seen = observe_pasted("HTTP/1.1 404 Not Found\n\n{}", "http://h:8080/api/openai/v1")
    fix = diagnose(seen, RULES)[0].fix
    assert fix == "Set ANTHROPIC_BASE_URL=http://h:8080/api/anthropic"


def test_the_address_that_curl_could_not_reach_is_the_one_that_is_meant() -> None:
    seen = observe_pasted("curl: (7) Failed to connect to localhost port 8099 after 0 ms: X")
    assert seen.base is not None
    assert seen.base.origin() == "http://localhost:8099"


def test_a_paste_that_says_nothing_gives_no_attempt() -> None:
    assert observe_pasted("hello there").attempts == ()


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=400), st.sampled_from(["", "HTTP/1.1 401 X\n\n", "Error code: 404 - {"]))
def test_any_text_can_be_pasted(text: str, before: str) -> None:
    seen = observe_pasted(before + text)
    lines(seen, diagnose(seen, RULES))


@pytest.mark.parametrize("between", ["", "\n", "\n\n$ "])
@pytest.mark.parametrize("after", ["x-api-key: adm_0123456789", "} {", "{'a': 1}", "done ("])
@pytest.mark.parametrize("before", ["HTTP/1.1 401 X\n\n", "", "Error code: 401 - ", CURL_V[:-1]])
def test_what_follows_an_answer_leaves_the_answer_readable(
    before: str, between: str, after: str
) -> None:
    body = "" if before.endswith("}") else UNAUTHORIZED
    (attempt,) = observe_pasted(f"{before}{body}{between}{after}").attempts
    assert (attempt.status, attempt.reading.kind) == (401, Kind.MESSAGES_ERROR)
    assert attempt.reading.message == "Invalid API key."


def test_the_request_before_an_answer_is_not_the_answer() -> None:
    asked = 'curl http://h/v1/messages -d \'{"model": "demo", "messages": []}\''
    (attempt,) = observe_pasted(f"{asked}\n{UNAUTHORIZED}\n$ ").attempts
    assert (attempt.status, attempt.reading.error_type) == (401, "authentication_error")


@pytest.mark.parametrize("part", ["{", "{'", "\\'", '{"\\', "{}", "{'a':", "'\"", '{"a":{}}x'])
def test_a_paste_of_any_size_is_read_in_one_pass(part: str) -> None:
    observe_pasted("Error code: 401 - {" + part * (MAX_CHARS // len(part)))
    observe_pasted("HTTP/1.1 401 X\n\n{" + part * (MAX_CHARS // len(part)))


def test_a_huge_paste_is_cut() -> None:
    seen = observe_pasted("HTTP/1.1 404 Not Found\n\n" + "{" * MAX_CHARS * 2)
    assert len(seen.attempts[0].body) <= MAX_CHARS
