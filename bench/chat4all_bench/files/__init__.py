"""Files up and down again: their bytes, their ways, the same bytes straight to the store."""
