"""The front: knows clients, not providers."""
