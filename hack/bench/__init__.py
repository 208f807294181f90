"""Measurements of what the project costs."""
