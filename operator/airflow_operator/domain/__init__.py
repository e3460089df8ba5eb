"""Pure vocabulary: names, labels, hashes, manifests, errors. Imports nothing of the project."""
