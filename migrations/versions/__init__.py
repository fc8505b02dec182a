"""One file for each revision; its SQL objects stand beside it under the same number."""
