"""The orchestrator: forwards calls to nodes and decodes none of their arguments or results."""
