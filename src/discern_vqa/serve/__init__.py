"""`discern serve`: runs that answer over HTTP. docs/serve.md describes the interface; `answerer` knows no HTTP."""
