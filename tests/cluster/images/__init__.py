"""The container images: built from this checkout, cached by content, loaded into the cluster."""
