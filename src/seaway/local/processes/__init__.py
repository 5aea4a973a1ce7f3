"""Containers as local processes: the shim each runs under, its environment, its log, and the one that starts them."""
