"""`make demo`: from nothing to an agent's first command."""
