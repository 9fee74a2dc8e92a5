"""The wire protocol: bytes in, messages out. Nothing here owns a socket, a clock or a thread."""
