"""Which results are sent, and in which order: the router's counter must come out right."""

from collections.abc import Sequence

import hypothesis.strategies as st
from hypothesis import given

from auxot_tools.connect.deliveries import (
    KEPT_BYTES,
    KEPT_JOBS,
    MAX_SENDINGS,
    OWED_BYTES,
    Deliveries,
    Offer,
)


def owing(*jobs: str, parent: str = "p") -> Deliveries:
    """Deliveries with these jobs done, in order."""
    made = Deliveries()
    for job in jobs:
        assert made.offer(job, parent, 1) is Offer.NEW
    for job in jobs:
        assert made.finish(job, job.encode(), b"lost")
    return made


def sent(deliveries: Deliveries, connection: int) -> list[str]:
    """All that may be sent now, in order."""
    frames = []
    while (due := deliveries.next_to_send(connection)) is not None:
        frames.append(due[1].decode())
    return frames


def last_number(deliveries: Deliveries, connection: int) -> int:
    number = 0
    while (due := deliveries.next_to_send(connection)) is not None:
        number = due[0]
    return number


def test_results_are_sent_once_in_the_order_in_which_they_came() -> None:
    deliveries = owing("a", "b")
    assert sent(deliveries, 1) == ["a", "b"]
    assert sent(deliveries, 1) == []
    assert deliveries.owed == 2


def test_a_confirmed_result_is_not_sent_on_the_next_connection() -> None:
    deliveries = owing("a")
    deliveries.confirm(last_number(deliveries, 1))
    assert deliveries.owed == 0
    assert deliveries.connection_lost() == 0
    assert sent(deliveries, 2) == []


def test_what_was_never_sent_comes_before_what_is_in_doubt_and_that_the_last_first() -> None:
    deliveries = owing("a", "b")
    assert sent(deliveries, 1) == ["a", "b"]
    deliveries.offer("c", "p", 1)
    assert deliveries.connection_lost() == 2
    deliveries.finish("c", b"c", b"")
    assert sent(deliveries, 2) == ["c", "b", "a"]


def test_what_is_in_doubt_waits_for_the_calls_of_its_round_that_still_run() -> None:
    deliveries = owing("a")
    deliveries.offer("slow", "p", 1)
    deliveries.offer("of another round", "q", 1)
    assert sent(deliveries, 1) == ["a"]
    deliveries.connection_lost()
    assert sent(deliveries, 2) == []
    deliveries.finish("slow", b"slow", b"")
    assert sent(deliveries, 2) == ["slow", "a"]


def test_a_job_that_runs_is_not_run_again() -> None:
    deliveries = Deliveries()
    deliveries.offer("a", "p", 1)
    assert deliveries.offer("a", "p", 1) is Offer.RUNNING
    deliveries.connection_lost()
    assert deliveries.offer("a", "p", 2) is Offer.RUNNING


def test_a_job_answered_on_this_connection_is_a_repeat_and_nothing_is_sent() -> None:
    deliveries = owing("a")
    number = last_number(deliveries, 1)
    assert deliveries.offer("a", "p", 1) is Offer.REPEATED
    deliveries.confirm(number)
    assert deliveries.offer("a", "p", 1) is Offer.REPEATED
    assert sent(deliveries, 1) == []


def test_a_job_asked_for_anew_on_a_later_connection_gets_its_kept_result_once() -> None:
    deliveries = owing("a")
    deliveries.confirm(last_number(deliveries, 1))
    deliveries.connection_lost()
    assert deliveries.offer("a", "p", 2) is Offer.ASKED_AGAIN
    assert sent(deliveries, 2) == ["a"]
    assert deliveries.offer("a", "p", 2) is Offer.REPEATED


def test_a_router_that_never_confirms_is_not_sent_the_same_for_ever() -> None:
    deliveries = owing("a")
    sendings = 0
    for connection in range(1, 20):
        sendings += len(sent(deliveries, connection))
        deliveries.connection_lost()
    assert sendings == MAX_SENDINGS
    assert deliveries.owed == 0


def test_old_answers_are_forgotten_and_then_a_job_is_new_again() -> None:
    deliveries = Deliveries()
    for number in range(KEPT_JOBS + 1):
        deliveries.offer(str(number), "p", 1)
        deliveries.finish(str(number), b"x", b"")
        deliveries.confirm(last_number(deliveries, 1))
    assert deliveries.offer("0", "p", 2) is Offer.NEW
    assert deliveries.offer("1", "p", 2) is Offer.ASKED_AGAIN


def test_large_answers_are_forgotten_sooner() -> None:
    deliveries = Deliveries()
    for job in ("a", "b"):
        deliveries.offer(job, "p", 1)
        deliveries.finish(job, bytes(KEPT_BYTES // 2 + 1), b"")
    deliveries.confirm(last_number(deliveries, 1))
    assert deliveries.offer("a", "p", 2) is Offer.NEW


def test_what_is_owed_is_bounded_in_bytes_and_the_rest_is_said_to_be_lost() -> None:
    deliveries = Deliveries()
    for job in ("a", "b", "c"):
        deliveries.offer(job, "p", 1)
    half = bytes(OWED_BYTES // 2)
    assert deliveries.finish("a", half, b"lost")
    assert deliveries.finish("b", half, b"lost")
    assert not deliveries.finish("c", b"x", b"lost")
    deliveries.next_to_send(1)
    deliveries.next_to_send(1)
    assert deliveries.next_to_send(1) == (3, b"lost")
    deliveries.confirm(2)
    deliveries.offer("d", "p", 1)
    assert deliveries.finish("d", half, b"lost")


class CountingRouter:
    """Auxot's counter: every result of a round that is not over lowers it."""

    def __init__(self, calls: int) -> None:
        self.pending = calls
        self.seen: set[str] = set()
        self.missing = -1  # when the round ended, calls without a result; -1: it has not ended

    def read(self, job: str) -> None:
        if self.missing >= 0:
            return  # of no round: dropped
        self.seen.add(job)
        self.pending -= 1
        if self.pending == 0:
            self.missing = -len(self.seen)


def _play(calls: int, before: Sequence[int], sendings: int, reads: int, after: int) -> None:
    """One round: some calls end, some results are sent, the router reads some of those; then the
    connection ends, and on the next one all goes well, the other calls ending after ``after``
    sendings.
    """
    jobs = [f"job {number}" for number in range(calls)]
    deliveries, router = Deliveries(), CountingRouter(calls)
    for job in jobs:
        deliveries.offer(job, "p", 1)
    done = list(dict.fromkeys(jobs[number % calls] for number in before))
    for job in done:
        deliveries.finish(job, job.encode(), b"")
    on_the_way = []
    for _ in range(sendings):
        due = deliveries.next_to_send(1)
        on_the_way += [due[1].decode()] if due else []
    for job in on_the_way[:reads]:
        router.read(job)
    deliveries.connection_lost()
    for _ in range(after):
        due = deliveries.next_to_send(2)
        if due is not None:
            router.read(due[1].decode())
    for job in set(jobs) - set(done):
        deliveries.finish(job, job.encode(), b"")
    for job in sent(deliveries, 2):
        router.read(job)
    assert router.missing == -calls, "the round ended early, or has not ended"


@given(
    st.integers(1, 6),
    st.lists(st.integers(0, 5), max_size=8),
    st.integers(0, 8),
    st.integers(0, 8),
    st.integers(0, 8),
)
def test_wherever_a_connection_ends_the_round_ends_with_every_result(
    calls: int, before: list[int], sendings: int, reads: int, after: int
) -> None:
    _play(calls, before, sendings, reads, after)
