"""One module per chart: a pure function from its figures and a width to a drawing."""
