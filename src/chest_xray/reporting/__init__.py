"""How results are shown: figures, findings, pages."""
