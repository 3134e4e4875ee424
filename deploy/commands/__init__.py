"""The commands of `penstock`, one file for each group."""
