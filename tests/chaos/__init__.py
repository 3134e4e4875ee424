"""Faults injected into real processes under numbered streams: nothing may be altered, doubled, silent or hung."""
