"""Our tools inside somebody else's server: ASGI middleware, gateway plugins."""
