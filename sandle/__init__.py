"""What two or more of Sandle's components share: the wire, the HTTP server and the engine."""
