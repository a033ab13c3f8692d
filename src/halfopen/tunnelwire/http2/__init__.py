"""The HTTP/2 connection between edge and connector: the edge asks, as the client, on a connection that the connector has opened."""
