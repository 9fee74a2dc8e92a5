"""HTTP for both servers: JSON-RPC 2.0, metrics and health."""
