"""Text to syntax tree and back: parser, printer of expressions, formatter."""
