"""auxot-tools: runs the tools a language model calls, behind any Messages client."""
