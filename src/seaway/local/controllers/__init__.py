"""Controllers: pure functions from what is wanted and what is observed, and one loop that does what they say."""
