"""What a page that draws is made of: its template, style and scripts lie beside this file."""
