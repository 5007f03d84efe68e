"""Finds out what is wrong between a client, a base URL and a key, and says the fix."""
