"""The HTTP server: the routes put together."""
