"""HTML pages and charts: one static page per run, a comparison of two runs, the review page of a selection.

    write_report(Path("runs/quickstart"))  ->  runs/quickstart/report.html        (pages.py)

Invariant: a page opens offline and asks the network for nothing; it is a function of the run directory alone; text of rows
reaches the browser only as escaped HTML, or as JSON that scripts put into text nodes.
"""
