"""What a book holds, told by its Markdown source, and that book as a printed one."""
