"""Options, files, types, and the origin of results, which every other package uses."""
