"""Random faults over workers and their server, and whether the queue kept its promise."""
