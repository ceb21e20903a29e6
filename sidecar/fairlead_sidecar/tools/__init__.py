"""The tools that agents get, one module per group."""
