"""Our router passes every check; each fault fails exactly the check that is about it."""

import random
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from auxot_tools.errors import ConfigError
from auxot_tools.roundtrip.judging import changes, chosen, judge
from auxot_tools.roundtrip.recording import Recording, load, save
from auxot_tools.roundtrip.rules import ALL, BY_ID
from auxot_tools.roundtrip.verdicts import Verdict
from tests.support.roundtrip_faults import FAULTS as ANSWERS
from tests.support.roundtrip_faults import Fault
from tests.support.roundtrip_faults_upstream import FAULTS as UPSTREAM
from tests.support.roundtrip_garbage import garbled
from tests.support.roundtrip_run import recorded_run
from tests.support.roundtrip_tampering import Tampering
from tests.support.running import KEY

FAULTS: dict[str, Fault] = ANSWERS | UPSTREAM
NEVER_SHOWN = {"shapes.server-names"}  # our router shows its calls as mcp_tool_use


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """A whole run at our router."""
    return anyio.run(recorded_run, tmp_path_factory.mktemp("router"))


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


def test_a_recording_is_judged_the_same_when_it_was_kept_in_a_file(
    recording: Recording, tmp_path: Path
) -> None:
    save(recording, tmp_path / "run.json")
    kept = load(tmp_path / "run.json")
    assert [j.outcome for j in judge(kept).judged] == [j.outcome for j in judge(recording).judged]
    assert (tmp_path / "run.json").stat().st_mode & 0o077 == 0


def test_no_key_is_in_a_recording(recording: Recording, tmp_path: Path) -> None:
    save(recording, tmp_path / "run.json")
    assert KEY not in (tmp_path / "run.json").read_text()


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
