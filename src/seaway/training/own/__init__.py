"""What users bring themselves: scripts of their own, and containers in any language."""
