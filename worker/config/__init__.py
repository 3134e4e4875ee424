"""penstock.yaml: schema, loading with helpful errors, watching."""
