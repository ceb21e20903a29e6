"""What should exist, decided by pure functions: no I/O, no clock of its own, no cluster client."""
