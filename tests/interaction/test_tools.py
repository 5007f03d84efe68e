"""Every tool through the whole path: SDK, router, gRPC, worker, sandbox, and back."""

import base64
import json
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from tests.support.tool_stack import BRAVE_KEY, SHELL_KEY, ToolStack, tool_stack
from tests.support.turns import tool_use

pytestmark = pytest.mark.engine
FIELDS = ("command", "code", "url", "query", "handle", "name")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ToolStack]:
    home: Path = tmp_path_factory.mktemp("tools")
    with tool_stack(home) as running:
        yield running


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("code_executor", {"code": "print(6 * 7)"}, "42"),
        ("code_executor", {"language": "javascript", "code": "console.log(6 * 7)"}, "42"),
        ("code_executor", {"language": "bash", "code": "echo $((6 * 7))"}, "42"),
        ("code_executor", {"code": "x = 41", "session": True}, ""),
        ("bash", {"command": "echo $((6 * 7))"}, "42"),
        (
            "str_replace_based_edit_tool",
            {"command": "create", "path": "/work/a.txt", "file_text": "x"},
            "a.txt",
        ),
        (
            "memory",
            {"command": "create", "path": "/memories/a.md", "file_text": "x"},
            "File created successfully at: /memories/a.md",
        ),
        ("web_search", {"query": "news"}, "https://example.org/"),
        ("web_answers", {"query": "what is it?"}, "It is 42."),
        ("greet", {"name": "Ada"}, "Hello Ada"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_tool_answers(
    stack: ToolStack, name: str, arguments: dict[str, Any], said: str
) -> None:
    answer = stack.call(name, **arguments)
    (result,) = answer.results()
    assert not result.get("is_error"), result
    assert said in answer.result_text()
    assert answer.message.content[-1].text == "Done."


def test_a_page_is_fetched_as_markdown(stack: ToolStack) -> None:
    said = stack.call("web_fetch", url=f"{stack.web_url}/page").result_text()
    assert "Something happened today" in said
    assert "<p>" not in said


def test_the_tools_offered_are_those_allowed_and_what_reads_their_output(stack: ToolStack) -> None:
    sent = stack.call("memory", command="view", path="/memories").sent
    offered = [tool["name"] for tool in sent[0]["tools"]]
    assert offered == sorted(
        [
            *("bash", "code_executor", "greet", "memory", "read_output"),
            *("str_replace_based_edit_tool", "web_answers", "web_fetch", "web_search"),
        ]
    )


def test_bash_finds_in_the_second_turn_what_the_first_one_wrote(stack: ToolStack) -> None:
    """No session is named: the history alone says which conversation it is."""
    user = {"role": "user", "content": "write"}
    first = stack.ask(
        [tool_use("a", "bash", json.dumps({"command": "echo kept > note.txt; cd /tmp; X=5"}))],
        messages=[user],
    )
    history = [
        user,
        {"role": "assistant", "content": [b.model_dump() for b in first.message.content]},
        {"role": "user", "content": "read"},
    ]
    read = [tool_use("b", "bash", json.dumps({"command": "cat /work/note.txt; pwd; echo $X"}))]
    assert stack.ask(read, messages=history).result_text() == "kept\n/tmp\n5"
    other = stack.ask(read).result_text()
    assert "No such file" in other


def test_the_tools_of_one_conversation_share_their_session(stack: ToolStack) -> None:
    edit = {"command": "create", "path": "/work/sum.py", "file_text": "print(2 + 3)\n"}
    code = {"code": "import os\nseen = os.path.exists('/work/sum.py')", "session": True}
    answer = stack.ask(
        [tool_use("a", "str_replace_based_edit_tool", json.dumps(edit))],
        [tool_use("b", "code_executor", json.dumps(code))],
        [tool_use("c", "code_executor", json.dumps({"code": "print(seen)", "session": True}))],
        [tool_use("d", "bash", json.dumps({"command": "python3 sum.py"}))],
    )
    assert answer.result_text(3) == "True"
    assert answer.result_text(4) == "5"


def test_a_plot_reaches_the_upstream_model_as_an_image(stack: ToolStack) -> None:
    code = (
        "import struct, zlib\n"
        "def chunk(kind, data):\n"
        "    whole = kind + data\n"
        "    return struct.pack('>I', len(data)) + whole + struct.pack('>I', zlib.crc32(whole))\n"
        "head = struct.pack('>IIBBBBB', 1, 1, 8, 0, 0, 0, 0)\n"
        "png = b'\\x89PNG\\r\\n\\x1a\\n' + chunk(b'IHDR', head)\n"
        "png += chunk(b'IDAT', zlib.compress(b'\\0\\xff')) + chunk(b'IEND', b'')\n"
        "open('/work/out/plot.png', 'wb').write(png)\n"
    )
    (result,) = stack.call("code_executor", code=code).results()
    image = next(block for block in result["content"] if block["type"] == "image")
    assert image["source"]["media_type"] == "image/png"
    data = base64.b64decode(image["source"]["data"])
    header = struct.unpack(">II", data[16:24])
    assert (header, zlib.crc32(data[12:29])) == ((1, 1), struct.unpack(">I", data[29:33])[0])


def test_what_a_result_leaves_out_is_read_with_its_handle_by_the_same_key_only(
    stack: ToolStack,
) -> None:
    code = "print('\\n'.join(f'line {n}' for n in range(40_000)))"
    said = stack.call("code_executor", code=code).result_text()
    assert "bytes left out; to read them: read_output" in said
    handle = said.split('handle "')[1].split('"')[0]
    offset = int(said.split("offset ")[1].split("]")[0])
    more = stack.call("read_output", handle=handle, offset=offset, limit=100).result_text()
    assert said[offset - 20 : offset] + more.split("\n", 1)[1] in "\n".join(
        f"line {n}" for n in range(40_000)
    )
    found = stack.call("read_output", handle=handle, pattern="^line 20000$").result_text()
    assert found == "[1 matching lines]\n20001: line 20000"
    (theirs,) = stack.call("read_output", "bob", handle=handle).results()
    assert theirs["is_error"]


def test_two_keys_never_see_each_others_files_sessions_or_memory(stack: ToolStack) -> None:
    session: dict[str, Any] = {"extra_headers": {"auxot-session": "the-same-name"}}
    write = {"command": "echo secret-of-alice > /work/a.txt; S=secret-of-alice"}
    look = {"command": "ls -A /work; echo [$S]"}
    state = {"code": "s = 'secret-of-alice'", "session": True}
    see = {"code": "print('s' in globals())", "session": True}
    note = {"command": "create", "path": "/memories/secret.md", "file_text": "secret-of-alice"}
    shows = {"command": "view", "path": "/memories"}
    stack.ask(
        [tool_use("a", "bash", json.dumps(write))],
        [tool_use("b", "code_executor", json.dumps(state))],
        [tool_use("c", "memory", json.dumps(note))],
        **session,
    )
    answers = {
        key: stack.ask(
            [tool_use("a", "bash", json.dumps(look))],
            [tool_use("b", "code_executor", json.dumps(see))],
            [tool_use("c", "memory", json.dumps(shows))],
            key=key,
            **session,
        )
        for key in ("alice", "bob")
    }
    seen = {key: [answer.result_text(n) for n in (1, 2, 3)] for key, answer in answers.items()}
    assert "a.txt" in seen["alice"][0]
    assert "[secret-of-alice]" in seen["alice"][0]
    assert seen["alice"][1] == "True"
    assert "secret.md" in seen["alice"][2]
    assert "[]" in seen["bob"][0]
    assert "a.txt" not in seen["bob"][0]
    assert seen["bob"][1] == "False"
    assert "secret" not in "".join(seen["bob"])


def test_a_tool_sees_its_own_credential_and_nobody_reads_it(stack: ToolStack) -> None:
    answer = stack.call("greet", name="Ada")
    said = json.loads(answer.result_text())
    assert said["key_chars"] == len(SHELL_KEY)
    assert said["key"] == "[credential GREET_KEY]"
    env = {"command": "env; cat /proc/self/environ | tr '\\0' '\\n'"}
    assert "GREET_KEY" not in stack.call("bash", **env).result_text()
    logs = stack.stack.worker_log.read_text() + stack.stack.router_log.read_text()
    audit = (stack.home / "audit.log").read_text()
    for secret in (SHELL_KEY, BRAVE_KEY):
        assert secret not in logs + audit + str(answer.sent)


def test_the_search_goes_out_as_brave_wants_it(stack: ToolStack) -> None:
    stack.call("web_search", query="a b", count=3, freshness="week")
    path, query, headers = stack.web.seen[-1]
    assert path == "/res/v1/web/search"
    assert parse_qs(query) == {"q": ["a b"], "count": ["3"], "freshness": ["pw"]}
    assert headers["x-subscription-token"] == BRAVE_KEY


def test_one_request_may_use_the_web_so_often_and_no_more(stack: ToolStack) -> None:
    ask = [tool_use(f"t{n}", "web_search", json.dumps({"query": f"number {n}"})) for n in range(5)]
    results = stack.ask(ask).results()
    assert [bool(one.get("is_error")) for one in results].count(True) == 2
    assert not stack.call("web_search", query="again").results()[0].get("is_error")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (name, text)
        for name in (
            *("code_executor", "bash", "str_replace_based_edit_tool", "memory", "web_fetch"),
            *("web_search", "web_answers", "read_output", "greet"),
        )
        for text in ("[1]", '{"x', json.dumps(dict.fromkeys(FIELDS, 5)))
    ],
)
def test_bad_input_is_an_error_that_the_model_can_act_on(
    stack: ToolStack, name: str, text: str
) -> None:
    (result,) = stack.ask([tool_use("a", name, text)]).results()
    assert result["is_error"]
    said = "".join(block["text"] for block in result["content"])
    assert 20 < len(said) < 3000
    assert "Traceback" not in said
