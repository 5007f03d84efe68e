"""The Messages API as data: requests, blocks, events, history. Pure: no I/O, clock or logging."""
