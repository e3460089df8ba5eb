"""Talking to the API server: one small Protocol and its implementation on the official client."""
