"""MCP servers that live on the host, made reachable through the SSH link."""
