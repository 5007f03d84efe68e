"""Dialects: bytes <-> Messages events. Pure: no I/O, no clock, no logging."""
