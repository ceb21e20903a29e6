"""Who may do what: bearer tokens, scopes, revocation."""
