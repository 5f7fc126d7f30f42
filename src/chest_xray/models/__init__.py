"""The network, how it is trained and fed, and what it looks at."""
