"""Models of real shapes with random weights, for tests and measurements."""
