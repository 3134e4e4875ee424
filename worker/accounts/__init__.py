"""Credentials: pools, leases, limits and states."""
