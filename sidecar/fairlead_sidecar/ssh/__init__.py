"""The SSH side: one link to one host, commands and files through it."""
