"""What the upstream says in the plugin's tests: one scenario for each model's name. Data only."""

from auxot_tools.scripted.scenario import (
    Faults,
    HttpFault,
    Scenario,
    ThinkingBlock,
    ToolUseBlock,
    Turn,
)
from tests.support.looped_app import call, said

CODE = {"language": "python", "code": "print(6 * 7)"}
OWN = "read_file"


def run(tool_use_id: str, code: str = CODE["code"]) -> ToolUseBlock:
    """A call of our tool."""
    return call(tool_use_id, "code_executor", language="python", code=code)


SECRET_THOUGHT = ThinkingBlock(thinking="Let me think.", signature="c2lnbmVk")

SCENES: dict[str, Scenario] = {
    name: Scenario(turns=turns, select="by_round", after_last="repeat")
    for name, turns in {
        "plain": (said("Hello there."),),
        "one-call": (said("Let me run it.", run("toolu_1")), said("It is 42.")),
        "thinking": (said(SECRET_THOUGHT, run("toolu_1")), said("It is 42.")),
        "parallel": (said(run("toolu_1", "print('a')"), run("toolu_2", "print('b')")), said("ab")),
        "two-rounds": (said(run("toolu_1")), said(run("toolu_2", "print(7)")), said("Done.")),
        "own-tool": (said("I must read.", call("toolu_1", OWN, path="x")), said("I have read.")),
        "mixed": (said(run("toolu_1"), call("toolu_2", OWN, path="x")), said("Both are there.")),
        "failing": (said(call("toolu_1", "code_executor", language="cobol")), said("It failed.")),
        "slow": (said("Let me run it.", run("toolu_1", "import time; time.sleep(60)")),),
        "endless": (said(run("toolu_1")),),
        "refused-later": (
            said("Let me run it.", run("toolu_1")),
            Turn(faults=Faults(http=HttpFault(status=429, error_type="rate_limit_error"))),
        ),
    }.items()
}
