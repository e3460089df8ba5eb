"""Pure builders: one small function for one object, or for one family of objects."""
