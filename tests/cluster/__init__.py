"""The real cluster that tests, demo and benchmarks run on."""
