"""One SSH host served as one MCP endpoint."""
