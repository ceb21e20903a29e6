"""Measurements of Fairlead, each beside the limit it is compared with, in one run."""
