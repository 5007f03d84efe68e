"""What PID 1 waits for: which descriptors matter now, and until when.

One job: the one `poll` of the loop. It changes nothing. Standard library only.
"""

import select
import time


def wait(supervisor):
    """Descriptors that are ready. A pipe is looked at only while nothing waits to be sent."""
    channel, call = supervisor.channel, supervisor.call
    now = time.monotonic()
    ended = call is None or call.wait_status is not None
    pausing = not ended and now < supervisor.look_at
    poll = select.poll()
    for fd in (channel.incoming, supervisor.signals):
        poll.register(fd, select.POLLIN)
    if supervisor.zygote is not None:
        poll.register(supervisor.zygote, select.POLLIN)
    if channel.unsent:
        is_one = channel.incoming == channel.outgoing
        both = select.POLLIN | select.POLLOUT
        poll.register(channel.outgoing, both if is_one else select.POLLOUT)
    if call is not None:
        register_call(poll, call, is_full=bool(channel.unsent), pausing=pausing)
    until = supervisor.look_at if pausing else supervisor.stop_at
    wait_ms = None if until is None else max(0.0, until - now) * 1000 + 1
    return [fd for fd, _ in poll.poll(wait_ms)]


def register_call(poll, call, is_full, pausing):
    if call.told is not None:
        poll.register(call.told, select.POLLIN)
    if call.status is not None and not (call.collects and is_full):
        poll.register(call.status, select.POLLIN)
    if not (is_full or pausing):
        for fd in call.outputs:
            poll.register(fd, select.POLLIN)
    if call.is_requested:
        for fd in (call.request, call.stdin):
            if fd is not None:
                poll.register(fd, select.POLLOUT)


def any_readable(descriptors, wait_ms):
    """Whether there is anything to be read from one of them, or its end."""
    poll = select.poll()
    for fd in descriptors:
        poll.register(fd, select.POLLIN)
    return bool(poll.poll(wait_ms))
