"""The wire protocol against real servers, spoken with plain sockets and msgpack."""
