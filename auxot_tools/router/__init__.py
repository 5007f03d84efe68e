"""The HTTP edge: the Messages endpoint as an ASGI app. The only home of the ASGI framework."""
