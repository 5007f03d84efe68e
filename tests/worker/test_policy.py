"""The first rule that names a key and a tool holds; a file that is wrong changes nothing."""

from pathlib import Path

import anyio
import pytest

from auxot_tools.errors import ConfigError
from auxot_tools.worker.policy import NO_RULE, Policy, Rule
from auxot_tools.worker.policy_file import LivePolicy, read_policy
from tests.support.executor_calls import until

RULES = """
[[rules]]
keys = ["alice"]
tools = ["bash"]

[[rules]]
tools = ["bash", "web_*"]
action = "deny"
reason = "Use code_executor."

[[rules]]
keys = ["team-*"]
action = "ask"
calls_per_minute = 5
"""


@pytest.mark.parametrize(
    ("key", "tool", "action"),
    [
        ("alice", "bash", "allow"),
        ("alice", "web_fetch", "deny"),
        ("bob", "bash", "deny"),
        ("team-1", "bash", "deny"),
        ("team-1", "code_executor", "ask"),
        ("bob", "code_executor", "allow"),
        ("", "code_executor", "allow"),
        ("TEAM-1", "code_executor", "allow"),
    ],
)
def test_the_first_rule_that_names_both_holds(
    tmp_path: Path, key: str, tool: str, action: str
) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(RULES)
    assert read_policy(path).rule_for(key, tool).action == action


def test_without_a_rule_all_is_allowed() -> None:
    assert Policy((Rule(tools=("x",), action="deny"),)).rule_for("k", "y") is NO_RULE


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[rules]]\nactions = 'deny'", r"rules\.0\.actions"),
        ("[[rules]]\naction = 'perhaps'", r"rules\.0\.action"),
        ("[[rules]]\ntools = ['a b']", r"rules\.0\.tools"),
        ("[[rules]]\ncalls_per_minute = 0", r"rules\.0\.calls_per_minute"),
        ("[[rules]]\n[rules.arguments]\ntype = 'objekt'", r"rules\.0\.arguments"),
        ("rules = 3", "rules"),
        ("[[rules]]\nacton = 'deny'", r"rules\.0\.acton is not a .*did you mean `action`"),
        (
            "[[rules]]\n[rules.arguments.properties.url]\npattrn = 'x'",
            r"rules\.0\.arguments: /properties/url/pattrn is no word .*did you mean `pattern`",
        ),
        (
            "[[rules]]\n[[rules.arguments.anyOf]]\nnot = { maxLenght = 3 }",
            r"/anyOf/0/not/maxLenght",
        ),
        ("[[rules]", "not TOML"),
    ],
)
def test_a_wrong_file_is_told_with_its_place(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=f"worker.policy_file: .*{words}"):
        read_policy(path)


def test_names_of_fields_are_no_words_of_the_schema(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text("[[rules]]\n[rules.arguments.properties.pattrn]\nmaxLength = 3")
    assert read_policy(path).rules[0].arguments is not None


def test_a_missing_file_is_a_mistake_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        LivePolicy(tmp_path / "none.toml")


def test_a_changed_file_counts_at_once_and_a_wrong_one_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text("")
    policy = LivePolicy(path)
    assert policy.current.rule_for("k", "t").action == "allow"
    _rewrite(path, "[[rules]]\naction = 'deny'")
    assert policy.current.rule_for("k", "t").action == "deny"
    _rewrite(path, "[[rules]]\naction = 'wrong'")
    assert policy.current.rule_for("k", "t").action == "deny"
    path.unlink()
    assert policy.current.rule_for("k", "t").action == "deny"


@pytest.mark.anyio
async def test_a_mistake_is_told_soon_without_any_call(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "policy.toml"
    path.write_text("")
    policy = LivePolicy(path)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(policy.follow, 0.001)
        _rewrite(path, "[[rules]]\naction = 'wrong'")
        await until(lambda: "the last good policy stays in force" in caplog.text)
        tasks.cancel_scope.cancel()


def _rewrite(path: Path, text: str) -> None:
    """As an editor does, with another inode; the clock may not have gone on since."""
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)
