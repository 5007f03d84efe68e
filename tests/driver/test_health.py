"""The circuit breaker: when a provider is left alone, and when it is tried again."""

import pytest

from auxot_tools.driver.health import FAILURES_TO_OPEN, OPEN_S, TRIAL_S, Health


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def opened(clock: Clock) -> Health:
    """A health whose breaker has just opened."""
    health = Health(clock)
    for _ in range(FAILURES_TO_OPEN):
        health.failed("it is busy", was_reached=False)
    return health


def test_a_provider_that_nothing_is_known_of_is_worth_asking(clock: Clock) -> None:
    assert Health(clock).is_online
    assert Health(clock).reason == ""


def test_fewer_failures_in_a_row_than_open_the_breaker_change_nothing(clock: Clock) -> None:
    health = Health(clock)
    for _ in range(FAILURES_TO_OPEN - 1):
        health.failed("it is busy", was_reached=False)
    assert health.is_online


def test_a_success_in_between_begins_the_count_anew(clock: Clock) -> None:
    health = Health(clock)
    for _ in range(2):
        for _ in range(FAILURES_TO_OPEN - 1):
            health.failed("it is busy", was_reached=False)
        health.succeeded()
    assert health.is_online
    assert health.reason == ""


def test_the_last_failure_in_a_row_opens_the_breaker_and_its_words_are_the_reason(
    clock: Clock,
) -> None:
    health = Health(clock)
    for number in range(FAILURES_TO_OPEN):
        health.failed(f"failure {number}", was_reached=False)
    assert not health.is_online
    assert health.reason == f"failure {FAILURES_TO_OPEN - 1}"


def test_an_open_breaker_keeps_requests_away_for_its_time_and_no_longer(clock: Clock) -> None:
    health = opened(clock)
    clock.now += OPEN_S - 0.001
    assert not health.is_online
    clock.now += 0.001
    assert health.is_online


def test_looking_whether_it_is_online_takes_no_trial_away(clock: Clock) -> None:
    health = opened(clock)
    clock.now += OPEN_S
    assert [health.is_online for _ in range(3)] == [True, True, True]


def test_a_half_open_breaker_lets_one_trial_through(clock: Clock) -> None:
    health = opened(clock)
    clock.now += OPEN_S
    health.asked()
    assert not health.is_online


def test_a_request_to_a_provider_that_is_well_is_no_trial(clock: Clock) -> None:
    health = Health(clock)
    health.asked()
    assert health.is_online


def test_a_trial_that_succeeds_closes_the_breaker(clock: Clock) -> None:
    health = opened(clock)
    clock.now += OPEN_S
    health.asked()
    health.succeeded()
    health.trial_is_over()
    assert health.is_online
    health.failed("once", was_reached=False)
    assert health.is_online


def test_a_trial_that_fails_opens_it_for_the_whole_time_again(clock: Clock) -> None:
    health = opened(clock)
    clock.now += OPEN_S
    health.asked()
    health.failed("still busy", was_reached=False)
    health.trial_is_over()
    assert not health.is_online
    assert health.reason == "still busy"
    clock.now += OPEN_S - 0.001
    assert not health.is_online
    clock.now += 0.001
    assert health.is_online


def test_a_trial_that_was_given_up_makes_room_for_the_next(clock: Clock) -> None:
    health = opened(clock)
    clock.now += OPEN_S
    health.asked()
    health.trial_is_over()
    assert health.is_online


def test_a_trial_that_never_comes_back_is_not_waited_for_for_ever(clock: Clock) -> None:
    health = opened(clock)
    clock.now += OPEN_S
    health.asked()
    clock.now += TRIAL_S - 0.001
    assert not health.is_online
    clock.now += 0.001
    assert health.is_online


def test_a_failure_of_a_request_sent_before_keeps_an_open_breaker_open_for_longer(
    clock: Clock,
) -> None:
    health = opened(clock)
    clock.now += OPEN_S / 2
    health.failed("a late one", was_reached=False)
    clock.now += OPEN_S / 2
    assert not health.is_online


def test_one_failed_probe_takes_it_offline_however_long_that_is_ago(clock: Clock) -> None:
    health = Health(clock)
    health.probed("HTTP status 500")
    clock.now += 1000 * OPEN_S
    assert not health.is_online
    assert health.reason == "HTTP status 500"


def test_a_probe_that_succeeds_brings_it_back_at_once(clock: Clock) -> None:
    health = Health(clock)
    health.probed("HTTP status 500")
    health.probed("")
    assert health.is_online
    assert health.reason == ""


def test_a_probe_that_succeeds_closes_the_breaker_of_one_that_could_not_be_reached(
    clock: Clock,
) -> None:
    health = Health(clock)
    for _ in range(FAILURES_TO_OPEN):
        health.failed("not there", was_reached=False)
    assert not health.is_online
    health.probed("")
    assert health.is_online
    health.failed("once", was_reached=False)
    assert health.is_online


def test_one_that_is_reached_and_fails_is_asked_after_others_and_never_offline(
    clock: Clock,
) -> None:
    health = Health(clock)
    for number in range(FAILURES_TO_OPEN):
        assert not health.is_doubtful
        health.failed(f"failure {number}")
    assert health.is_online
    assert health.is_doubtful
    health.probed("")
    assert health.is_doubtful
    clock.now += OPEN_S
    assert not health.is_doubtful


def test_a_probe_that_is_answered_with_an_error_makes_it_doubtful_until_one_succeeds(
    clock: Clock,
) -> None:
    health = Health(clock)
    health.probed("HTTP status 500", was_reached=True)
    assert health.is_online
    assert health.is_doubtful
    assert health.reason == "HTTP status 500"
    health.probed("")
    assert not health.is_doubtful
    assert health.reason == ""


def test_a_request_that_is_answered_brings_it_back_from_a_failed_probe(clock: Clock) -> None:
    health = Health(clock)
    health.probed("slow")
    health.succeeded()
    assert health.is_online


def test_a_failed_probe_and_an_open_breaker_need_a_success_and_not_only_time(clock: Clock) -> None:
    health = opened(clock)
    health.probed("HTTP status 500")
    clock.now += OPEN_S
    assert not health.is_online
