"""The HTTP server for programs and the page for people."""
