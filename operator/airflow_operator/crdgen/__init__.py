"""From the models to crds/ and docs/reference/."""
