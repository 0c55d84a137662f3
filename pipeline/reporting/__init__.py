"""What was run and what it shows: tables, figures, one self-contained page."""
