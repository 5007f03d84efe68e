"""The wire contract in Python, generated from proto/ by proto/generate.sh. Only rpc/ uses it."""
