"""What sidecars and endpoints say: status, MCP handshake, public URL."""
