"""`fairlead serve`: one host served without a cluster."""
