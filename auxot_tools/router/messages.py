"""`POST …/messages`: one request, admitted, made ready, and answered.

One job: from a body to an answer that runs. Every failure becomes a `Problem`. Must not know how
tools are run or where the model is: it gets both as ports.
"""

from starlette.types import Receive, Scope, Send

from auxot_tools.driver.calls import CallRunner
from auxot_tools.loop.actions import Finished
from auxot_tools.messages.digests import request_digest
from auxot_tools.messages.request import parse_request
from auxot_tools.router.answering import Answering, Asked, Stopping
from auxot_tools.router.bodies import offloaded, parsed
from auxot_tools.router.conversation import Client, Conversation, prepared
from auxot_tools.router.opening import keep_hidden
from auxot_tools.router.problems import Problem
from auxot_tools.router.services import Services
from auxot_tools.router.session import session_in


class MessagesEndpoint:
    """Answers requests for messages."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._stopping = Stopping()

    def give_up(self) -> None:
        """End what is still being answered, each with an error that its client can read."""
        self._stopping.give_up()

    async def answer(
        self, client: Client, body: bytes, scope: Scope, receive: Receive, send: Send
    ) -> Problem | None:
        """Answer one request. Returns a `Problem`, with nothing sent, when there is no answer."""
        services, key = self._services, client.key
        request = await parsed(body, parse_request)
        session = session_in(client.headers)
        digest = await offloaded(body, request_digest, key.name, session, request)
        is_repeat = services.ledger.knows(key.name, digest)
        with services.admission.request(key, is_repeat=is_repeat) as places:
            conversation = await prepared(
                services, client, request, body, digest, is_repeat=is_repeat
            )
            calls = CallRunner(services.dispatcher, services.limits.call_timeout_s, places)
            asked = _asked(services, client, conversation, calls)
            answering = Answering(asked, services.limits, services.ledger, self._stopping)
            try:
                return await answering.run(scope, receive, send)
            finally:
                scope["state"]["provider"] = conversation.route.provider  # for the log


def _asked(
    services: Services, client: Client, conversation: Conversation, calls: CallRunner
) -> Asked:
    def keep(finished: Finished) -> None:
        request, restored = conversation.request, conversation.restored
        keep_hidden(services, client.key.name, request, restored, finished)

    route = conversation.route
    return Asked(
        loop=conversation.loop,
        model=route,
        calls=calls,
        request_id=client.request_id,
        owner=client.key.name,
        digest=conversation.digest,
        is_streamed=conversation.request.stream,
        forwarded=client.forwarded,
        on_finished=keep,
        served_by=lambda: route.provider,
        prefer=route.prefer,
    )
