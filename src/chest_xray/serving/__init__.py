"""The network behind an address: an HTTP server for programs, and a page for people."""
