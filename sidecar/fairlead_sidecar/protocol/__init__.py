"""What MCP clients get, in both protocol eras and on any transport: tools, resources, prompts, and questions."""
