"""JavaScript: scripts in, functions called in fresh contexts out.

``interface`` says what an engine does; ``quickjs`` is one. A worker process owns one engine.
"""
