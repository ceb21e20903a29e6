"""Other SSH MCP servers, installed as their users install them, measured with the same client as Fairlead."""
