"""Pure data and rules of Agio: no input or output, no async, standard library only."""
