"""auxot-tools: runs the tools a language model calls, safely and fast, behind any Messages client."""
