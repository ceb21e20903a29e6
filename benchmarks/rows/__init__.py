"""What is measured, one module a section of the page: how, its tables, and the targets it decides."""
