"""Studies: replay, compare, explain: traces and designs in, results and tables out."""
