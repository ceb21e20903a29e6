"""The API group `fairlead.dev`: pydantic models, and the CRDs generated from them."""
