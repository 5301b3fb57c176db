"""What is made of the results: tables in Markdown, the goals beside them, the picture of growth."""
