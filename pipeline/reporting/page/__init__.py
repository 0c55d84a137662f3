"""The report as sections (`report`), and as one sortable HTML page without any other file (`html_page`)."""
