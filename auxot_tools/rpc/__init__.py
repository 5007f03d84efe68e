"""The gRPC edge: a worker served to anyone, and a worker used from afar.

The one home of gRPC and of the generated code. Knows ports, types and errors; nothing of routers,
sandboxes or configuration files.
"""
