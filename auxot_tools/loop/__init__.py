"""The tool loop: facts in, actions out. Pure: no await, clock, random ids or logging."""
