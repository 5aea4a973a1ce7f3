"""Defaults and validation of each kind: what the server fills in, and what it refuses with 422."""
