"""Sockets under gevent: the streams, the listener and the outgoing links both servers share.

Sockets here are non-blocking and driven by the hub's watchers, so a frame costs no greenlet.
"""
