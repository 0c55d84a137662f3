"""BEV grid, rigid transforms and boxes. Imports nothing else of the project."""
