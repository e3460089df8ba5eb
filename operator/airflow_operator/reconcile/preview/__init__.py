"""What would change if a file were applied: the operator's own steps, with nothing written."""
