"""Everything that talks to the API server, and nothing else that does."""
