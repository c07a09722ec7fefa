"""Speed, as ratios to named peers: one module per claim, `python -m benchmarks` prints."""
