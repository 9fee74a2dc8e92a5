"""A compute node: a listener in front of a pool of worker processes."""
