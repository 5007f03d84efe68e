"""Rules about time: clients that leave, silence, and requests that are sent again. Pure."""

from itertools import pairwise

from auxot_tools.roundtrip.rule import Judge, Rule, of, with_upstream
from auxot_tools.roundtrip.seen import Everything, Seen, text_in
from auxot_tools.roundtrip.verdicts import NotTestable, Outcome, Says, verdict_of

_LEAVES = "user asks 24 to 26"
_SILENCE = "--quiet-s is our choice; proxies cut silence at 60 s (user ask 23), clients at 300 s"
_AGAIN = "Claude Code sends a broken request again; user asks 27, 45"
_SLACK_S = 0.5  # at most: a busy machine is not a silent endpoint
_SLACK_SHARE = 0.1  # of the silence allowed; slow calls and upstreams take 0.2 more


@with_upstream
def _loop_stops(seen: Seen) -> Says:
    """The call takes longer than its client stays; who goes on asks the upstream again."""
    again = len(seen.upstream) - 1
    return f"the upstream was asked {again} more times after that" if again else None


@with_upstream
def _upstream_left(seen: Seen) -> Says:
    if seen.exchanged.left_at_s is None:
        return NotTestable("the answer was over before we could leave")
    ends = [asked.asked.ended for asked in seen.upstream]
    return None if ends[-1] == "left" else "the upstream's answer was read to its end"


def _serves_on(seen: Seen) -> Says:
    return None if seen.has_message else f"no message came (status {seen.status})"


def _most_silence_s(everything: Everything) -> float:
    quiet_s = everything.facts.quiet_s
    return quiet_s + min(_SLACK_S, quiet_s * _SLACK_SHARE)


def _quiet(name: str) -> Judge:
    """No silence within the stream, once its headers are there."""

    def judge(everything: Everything) -> Outcome:
        most_s = _most_silence_s(everything)

        def check(seen: Seen) -> Says:
            if seen.stream is None or not seen.stream.records:
                return NotTestable(f"no stream came (status {seen.status})")
            took_s, quiet_s = seen.answer.ended_at_s, everything.facts.quiet_s
            if name == "slow-tool-stream" and took_s < quiet_s:
                return NotTestable(f"all was over after {took_s:.1f} s, before --quiet-s")
            times = [
                seen.answer.at_s,
                *(p.at_s for p in seen.answer.pieces),
                seen.answer.ended_at_s,
            ]
            longest = max(after - before for before, after in pairwise(times))
            return f"silent for {longest:.1f} s" if longest > most_s else None

        return of(name, check)(everything)

    return judge


def _headers_early(everything: Everything) -> Outcome:
    most_s = _most_silence_s(everything)

    def check(seen: Seen) -> Says:
        if seen.stream is None or not seen.stream.records:
            return NotTestable(f"no stream came (status {seen.status})")
        late = seen.answer.at_s
        return f"the status came after {late:.1f} s" if late > most_s else None

    return of("slow-upstream-stream", check)(everything)


def _second_run(everything: Everything) -> Outcome:
    """A call that ran is not run again, or the client was told not to try."""
    names = ("fails-after-tool", "repeated-after-failure")
    for name in names:
        if name not in everything.all:
            return verdict_of(NotTestable(f"{name}: {everything.why_not(name)}"))
    first, second = (everything.all[name] for name in names)
    return verdict_of(_ran_twice(first, second), "seen in repeated-after-failure")


def _ran_twice(first: Seen, second: Seen) -> Says:
    if first.status < 400:
        return NotTestable("fails-after-tool: the failure did not reach the client")
    if first.answer.headers.get("x-should-retry") == "false":
        return None
    before, after = _results(first), _results(second)
    if not before or not after:
        return NotTestable("no result went upstream")
    return None if before == after else "the repeat ran the call again: its result is another"


def _results(seen: Seen) -> set[str]:
    return {
        text_in(block.get("content")) for asked in seen.upstream for block in asked.results()
    } - {""}


def _repeat_answered(seen: Seen) -> Says:
    if seen.has_message and not seen.error:
        return None
    return f"status {seen.status}: {seen.body[:120].decode('utf-8', 'replace')}"


def _success_is_new(everything: Everything) -> Outcome:
    def check(seen: Seen) -> Says:
        first = everything.all.get("plain")
        ids = [(each.message or {}).get("id") for each in (first, seen) if each is not None]
        if len(ids) < 2 or not all(isinstance(each, str) and each for each in ids):
            return NotTestable("not both messages have an id")
        return (
            "a new request got the old answer: the ids are the same" if ids[0] == ids[1] else None
        )

    return of("plain-again", check)(everything)


RULES = (
    Rule(
        "disconnect.stops-the-loop",
        "When the client has left, its call's result starts no new turn.",
        _LEAVES,
        of("leaves-in-call", _loop_stops),
    ),
    Rule(
        "disconnect.stops-the-upstream",
        "When the client has left, the upstream's answer is dropped.",
        _LEAVES,
        of("leaves-in-stream", _upstream_left),
    ),
    Rule(
        "disconnect.serves-on",
        "After that the endpoint serves others.",
        _LEAVES,
        of("after-leaving", _serves_on),
    ),
    Rule(
        "keep-alive.slow-tool",
        "A stream is never silent for longer than --quiet-s (default 15) while a call runs.",
        _SILENCE,
        _quiet("slow-tool-stream"),
    ),
    Rule(
        "keep-alive.slow-upstream",
        "A stream is never silent for longer than --quiet-s (default 15) while its upstream is.",
        _SILENCE,
        _quiet("slow-upstream-stream"),
    ),
    Rule(
        "keep-alive.headers",
        "The status of a stream comes within --quiet-s (default 15), however slow the upstream.",
        "--quiet-s is our choice; @anthropic-ai/sdk on Node, measured: gives up at 300 s",
        _headers_early,
    ),
    Rule(
        "retry.no-second-run",
        "A call that ran is not run again by a repeat, or the client is told not to repeat.",
        _AGAIN,
        _second_run,
    ),
    Rule(
        "retry.repeat-answered",
        "The repeat of a failed request is answered.",
        _AGAIN,
        of("repeated-after-failure", _repeat_answered),
    ),
    Rule(
        "retry.success-is-new",
        "A request like an answered one gets an answer of its own.",
        "Messages API",
        _success_is_new,
    ),
)
