"""Anthropic's own dialect: server-sent events, one JSON object each."""
