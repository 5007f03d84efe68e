"""The typed Python API for people who own their loop."""
