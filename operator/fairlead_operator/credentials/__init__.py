"""Tokens and keys: where secrets are made."""
