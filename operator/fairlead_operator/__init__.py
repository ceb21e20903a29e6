"""Watches RemoteHosts and McpTokens and applies what should exist for them."""
