"""MCP servers of others, as they are published, and some that misbehave: what Fairlead is to bring to agents."""
