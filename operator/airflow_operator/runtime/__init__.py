"""What turns events into calls of `reconcile`: loops, wake-ups, watches, probes, events. Knows no kopf."""
