"""Our router passes every check; each fault fails exactly the check that is about it."""

import json
import random
from dataclasses import replace
from xml.etree import ElementTree

import anyio
import pytest

from auxot_tools.errors import ConfigError
from auxot_tools.roundtrip.judging import changes, chosen, judge
from auxot_tools.roundtrip.recording import Recording, load
from auxot_tools.roundtrip.rules import ALL, BY_ID
from auxot_tools.roundtrip.verdicts import Verdict
from tests.support.roundtrip_faults import FAULTS as ANSWERS
from tests.support.roundtrip_faults import Fault
from tests.support.roundtrip_faults_upstream import FAULTS as UPSTREAM
from tests.support.roundtrip_garbage import garbled
from tests.support.roundtrip_run import CommandRun, run_command
from tests.support.roundtrip_tampering import Tampering
from tests.support.running import KEY

FAULTS: dict[str, Fault] = ANSWERS | UPSTREAM
NEVER_SHOWN = {"shapes.server-names"}  # our router shows its calls as mcp_tool_use


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> CommandRun:
    """The command, at our router."""
    return anyio.run(run_command, tmp_path_factory.mktemp("router"))


@pytest.fixture(scope="module")
def recording(run: CommandRun) -> Recording:
    """All that it saw."""
    return load(run.folder / "run.json")


def failed(recording: Recording) -> dict[str, tuple[str, ...]]:
    score = judge(recording)
    return {j.rule.id: j.outcome.notes for j in score.judged if j.verdict is Verdict.FAIL}


def test_our_router_passes_every_check_that_it_can_show(recording: Recording) -> None:
    score = judge(recording)
    assert failed(recording) == {}
    untested = {j.rule.id for j in score.judged if j.verdict is Verdict.NOT_TESTABLE}
    assert untested == NEVER_SHOWN
    assert score.is_good
    assert len(score.judged) >= 60


def test_there_is_a_fault_for_every_check() -> None:
    assert set(FAULTS) == set(BY_ID)
    assert not set(ANSWERS) & set(UPSTREAM)


@pytest.mark.parametrize("rule", sorted(FAULTS))
def test_a_fault_fails_its_check_and_no_other(recording: Recording, rule: str) -> None:
    tampering = Tampering(recording)
    FAULTS[rule](tampering)
    found = failed(tampering.done)
    assert set(found) == {rule}, found
    assert all(found[rule])


def test_the_command_says_what_the_recording_shows(run: CommandRun, recording: Recording) -> None:
    assert run.done.exit_code == 0, run.done.errors
    report = json.loads(run.done.output)
    score = judge(recording)
    assert report["format"] == "auxot-roundtrip-report"
    assert (report["passed"], report["failed"]) == (score.counts[Verdict.PASS], 0)
    assert report["endpoint"]["runs_tools"] is True
    assert [check["id"] for check in report["checks"]] == [rule.id for rule in ALL]
    assert {check["verdict"] for check in report["checks"]} == {"pass", "not_testable"}


def test_ci_and_people_get_the_same(run: CommandRun) -> None:
    root = ElementTree.parse(run.folder / "junit.xml").getroot()
    assert root.attrib["tests"] == str(len(ALL))
    assert (root.attrib["failures"], root.attrib["skipped"]) == ("0", str(len(NEVER_SHOWN)))
    page = (run.folder / "page.html").read_text()
    assert all(f"<code>{rule.id}</code>" in page for rule in ALL)


def test_no_key_is_in_anything_that_is_kept_and_only_we_can_read_a_recording(
    run: CommandRun,
) -> None:
    for name in ("run.json", "junit.xml", "page.html"):
        assert KEY not in (run.folder / name).read_text()
    assert KEY not in run.done.output + run.done.errors
    assert (run.folder / "run.json").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("seed", range(20))
def test_no_garbage_makes_a_check_stumble(recording: Recording, seed: int) -> None:
    found = judge(garbled(recording, random.Random(seed)))
    assert len(found.judged) == len(ALL)


def test_what_changed_between_two_runs_is_told(recording: Recording) -> None:
    tampering = Tampering(recording)
    FAULTS["sse.index-contiguous"](tampering)
    told = changes(judge(recording), judge(tampering.done))
    assert [(each.rule.id, each.after.verdict) for each in told] == [
        ("sse.index-contiguous", Verdict.FAIL)
    ]
    assert changes(judge(recording), judge(recording)) == []


def test_without_our_upstream_what_goes_there_is_not_testable(recording: Recording) -> None:
    hidden = {name: replace(e, asked=None) for name, e in recording.exchanges.items()}
    score = judge(replace(recording, exchanges=hidden))
    assert score.is_good
    verdicts = {j.rule.id: j.verdict for j in score.judged}
    assert verdicts["pairing.upstream-results"] is Verdict.NOT_TESTABLE
    assert verdicts["sse.index-contiguous"] is Verdict.PASS


def test_groups_and_ids_choose_checks() -> None:
    assert {rule.group for rule in chosen(["auth"])} == {"auth"}
    assert [rule.id for rule in chosen(["sse.message-stop"])] == ["sse.message-stop"]
    assert chosen([]) == ALL
    with pytest.raises(ConfigError, match="no check or group 'ssl'"):
        chosen(["ssl"])


def test_every_check_says_what_it_means_and_where_it_comes_from() -> None:
    for rule in ALL:
        assert rule.meaning.endswith((".", "…"))
        assert rule.source
        assert len(rule.meaning) < 100
