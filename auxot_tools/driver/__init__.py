"""Pumps a tool loop between the client, the model and the tools."""
