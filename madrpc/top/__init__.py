"""``madrpc top``: what a server and its nodes do, as it happens."""
