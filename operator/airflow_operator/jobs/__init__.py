"""What runs inside Kubernetes Jobs: each gives one JSON object as its termination message."""
