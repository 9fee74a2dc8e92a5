"""The Python client. Blocking sockets and the standard library only: no gevent, no engine."""
