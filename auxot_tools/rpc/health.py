"""Asks a worker how it is, as a probe does: gRPC's health protocol, without a key.

One job: one question, one answer, bounded. Blocking code for a command line; it must not know where
addresses come from.
"""

from typing import Final

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from auxot_tools.errors import Unavailable
from auxot_tools.rpc.listeners import parse_address

ASK_S: Final = 3.0  # for the whole question; a worker answers from memory
_EVERY_ADDRESS: Final = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]", "::": "[::1]"}
_OPTIONS: Final = (("grpc.enable_http_proxy", 0),)


def worker_health(listen: str, within_s: float = ASK_S) -> str:
    """`SERVING`, or the worker's other word for its state.

    ``listen`` is an address as ``worker.listen`` has it, without TLS. Raises ``Unavailable`` when
    nobody answers there.
    """
    address = parse_address(listen)
    host, _, port = str(address).rpartition(":")
    target = str(address) if address.is_unix else f"{_EVERY_ADDRESS.get(host, host)}:{port}"
    with grpc.insecure_channel(target, _OPTIONS) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        try:
            answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=within_s)
        except grpc.RpcError as error:
            raise Unavailable(f"no worker answers at {listen}") from error
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))
