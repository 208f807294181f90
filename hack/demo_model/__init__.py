"""Trains the demo model: a tiny Whisper that knows thirty words of synthetic speech."""
