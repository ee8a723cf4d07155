"""`./run bench`: the origin's procedure, as written, against the portal, in turn; docs/benchmarks.md explains it."""
