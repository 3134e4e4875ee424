"""The worker: knows providers, not clients."""
