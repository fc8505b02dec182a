"""The sections of the page, in the order of the reader's questions; each is a pure function of the data."""
