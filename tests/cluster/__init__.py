"""The real one-node cluster."""
