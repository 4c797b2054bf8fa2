"""Speed and validity, measured; see benchmarks/README.md."""
