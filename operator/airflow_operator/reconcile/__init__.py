"""From a resource to its objects and back to its status: observe, validate, plan, build, apply, report."""
