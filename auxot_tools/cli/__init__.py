"""The command line: parse, call assembly, print."""
