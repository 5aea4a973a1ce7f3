"""Whether the ranks of a training were busy, and alike: what is measured, what it says, and the report."""
