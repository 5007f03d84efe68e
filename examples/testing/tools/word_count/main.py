#!/usr/bin/env python3
"""The input is one JSON object on standard input; what is printed is the result."""

import json
import sys

text = json.load(sys.stdin)["text"]
print(len(text.split()))
