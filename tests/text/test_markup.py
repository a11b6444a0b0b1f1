"""Plain text out of HTML and Markdown."""

from evoltune.text.markup import plain_markdown, plain_text


def test_html_loses_links_and_images_and_keeps_code_and_lists():
    html = (
        '<p>Use <a href="http://x.y">the tool</a> &amp; <code>ls -l</code>:</p><img src="a.png">'
        "<ol><li>one</li><li>two</li></ol><pre><code>if a &lt; b:\n    go()</code></pre><script>alert(1)</script>"
    )
    assert plain_text(html) == "Use the tool & `ls -l`:\n\n1. one\n2. two\n\n```\nif a < b:\n    go()\n```"


def test_markdown_loses_links_quotes_and_edit_notes():
    text = "Read [this](http://a.b) now.\n&gt; quoted\nEdit: thanks!\n\n\n\n* item &amp; more https://x.y"
    assert plain_markdown(text) == "Read this now.\n\n* item & more"
