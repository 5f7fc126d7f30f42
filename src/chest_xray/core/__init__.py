"""What everything else rests on: options, files, types, and where results come from."""
