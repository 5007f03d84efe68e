"""The numbers that both ends of the wire keep, each with its reason.

Must not know anything else. A client in another language keeps them by setting the same options.
"""

from typing import Final

MAX_REQUEST_BYTES: Final = 40 * 2**20  # one message: the largest Messages body (32 MB) and a frame
MAX_RESPONSE_BYTES: Final = 64 * 2**20  # one message: kept output, images and artifacts of a call

DEFAULT_EXECUTE_S: Final = 330.0  # the contract's deadline of a call that came without one
DEFAULT_OTHER_S: Final = 10.0  # the same for the other calls
ANSWER_MARGIN_S: Final = 1.0  # between a call's deadline and its RPC's, so that the answer arrives
