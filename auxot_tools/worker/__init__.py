"""The worker's core: which tools there are, what a call may say, how it is run and told."""
