"""The native on-disk layouts, one module a database: `plan` lists its parts, `write` writes one of them."""
