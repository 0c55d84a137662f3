"""Results, comparisons, robustness and labels as tables of text; `export` writes them as CSV and LaTeX."""
