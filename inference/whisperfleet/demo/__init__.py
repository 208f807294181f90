"""What `whisperfleet demo` brings: a server, a small model, clips, and the run that joins them."""
