"""How throughput grows with workers, nodes and orchestrators; ``python -m benchmarks.scale``."""
