"""A corpus whose words and times are known, made from a seed and kept in the cache."""
