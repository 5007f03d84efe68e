"""Calls a worker with nothing but what it says of itself: no generated code, no .proto file.

    python examples/call_by_reflection.py [TARGET] [JSON INPUT]

TARGET is `host:port` (default 127.0.0.1:50061) or `unix:/path`. A worker's key is taken from the
environment variable AUXOT_WORKER_KEY. Any language with gRPC reflection can do the same. Must not
import auxot_tools: that is its point.
"""

import json
import os
import sys

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

METHOD = "ExecuteTool"
TOOL = "code_executor"
REFLECTION_S = 5  # a worker describes itself from memory
CALL_S = 60
Metadata = tuple[tuple[str, str], ...]


def ask(
    channel: grpc.Channel, metadata: Metadata, request: reflection_pb2.ServerReflectionRequest
) -> reflection_pb2.ServerReflectionResponse:
    """One question to the reflection service."""
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    answers = stub.ServerReflectionInfo(iter([request]), timeout=REFLECTION_S, metadata=metadata)
    return next(iter(answers))


def list_services(channel: grpc.Channel, metadata: Metadata) -> list[str]:
    """The full names of the services the worker serves."""
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    answer = ask(channel, metadata, request)
    return [service.name for service in answer.list_services_response.service]


def load_descriptors(
    channel: grpc.Channel, metadata: Metadata, service: str
) -> descriptor_pool.DescriptorPool:
    """Everything the worker tells of the files that define ``service``."""
    request = reflection_pb2.ServerReflectionRequest(file_containing_symbol=service)
    answer = ask(channel, metadata, request)
    pool = descriptor_pool.DescriptorPool()
    for data in answer.file_descriptor_response.file_descriptor_proto:
        pool.Add(descriptor_pb2.FileDescriptorProto.FromString(data))
    return pool


def main() -> None:
    target = sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:50061"
    tool_input = json.loads(sys.argv[2]) if len(sys.argv) > 2 else {"code": "print(6 * 7)"}
    key = os.environ.get("AUXOT_WORKER_KEY", "")
    metadata: Metadata = (("authorization", f"Bearer {key}"),) if key else ()

    with grpc.insecure_channel(target) as channel:
        services = list_services(channel, metadata)
        print("services:", *services)
        found = None
        for name in services:
            pool = load_descriptors(channel, metadata, name)
            found = pool.FindServiceByName(name).methods_by_name.get(METHOD)
            if found is not None:
                break
        if found is None:
            sys.exit(f"no service at {target} has a method {METHOD}")

        request_class = message_factory.GetMessageClass(found.input_type)
        response_class = message_factory.GetMessageClass(found.output_type)
        request = request_class(
            tool_use_id="toolu_reflection",
            tool_name=TOOL,
            input_json=json.dumps(tool_input).encode(),
        )
        path = f"/{found.containing_service.full_name}/{found.name}"
        print("calling:", path)
        call = channel.unary_stream(
            path,
            request_serializer=request_class.SerializeToString,
            response_deserializer=response_class.FromString,
        )
        for response in call(request, timeout=CALL_S, metadata=metadata):
            print(json_format.MessageToJson(response, preserving_proto_field_name=True))
            if response.WhichOneof("event") == "completed":
                for block in response.completed.content_json:
                    print("content block:", block.decode())


if __name__ == "__main__":
    if sys.argv[1:2] in (["-h"], ["--help"]):
        sys.exit(f"usage: {sys.argv[0]} [host:port | unix:/path] [input as JSON]\n{__doc__}")
    try:
        main()
    except grpc.RpcError as error:
        sys.exit(f"the worker did not answer as hoped: {error.code().name}: {error.details()}")
