"""Tools that Patchbay can work; each folder is one module, blind to the others."""
