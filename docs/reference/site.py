#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The pages and the manual as a small static site, which needs no network and no script.

It begins at README.md and follows links. A page is rendered by cmark-gfm, a manual page by mandoc,
a directory becomes a list, a picture is copied, any other file is shown as it stands; a public
header leads to its manual page. So whatever is linked is there, under the path it has in the tree.
At the end each link of each page is looked up, with the place on the page it names.

usage: site.py ROOT MAN_DIRECTORY OUTPUT_DIRECTORY VERSION
"""
import html
import html.parser
import os
import posixpath
import re
import shutil
import subprocess
import sys

PICTURES = (".svg", ".png")
STYLE = """
:root { color-scheme: light dark; --soft: #8883; --link: #0b5fa5; }
@media (prefers-color-scheme: dark) { :root { --link: #7ab8f5; } }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 52rem; padding: 0 1rem 3rem; }
nav { border-bottom: 1px solid var(--soft); margin-bottom: 1rem; padding: .6rem 0; }
nav a { margin-right: 1rem; }
a { color: var(--link); text-decoration: none; }
a.permalink { color: inherit; }
a:hover { text-decoration: underline; }
pre, code { font: 14px/1.4 ui-monospace, monospace; }
pre { background: var(--soft); overflow-x: auto; padding: .6rem .8rem; }
table { border-collapse: collapse; display: block; overflow-x: auto; }
td, th { border: 1px solid var(--soft); padding: .2rem .6rem; text-align: left; vertical-align: top; }
img { background: #fff; max-width: 100%; }
dd { margin: 0 0 .4rem 2rem; }
.Bl-compact > dd, .Bl-compact > li { margin-bottom: 0; }
table.head, table.foot { display: table; width: 100%; }
table.Nm td { border: 0; }
.head td, .foot td { border: 0; padding: 0; }
.head-vol, .foot-date { text-align: center; }
.head-rtitle, .foot-os { text-align: right; }
.Bd-indent { margin-left: 1.5rem; }
h1.Sh { font-size: 1.2rem; }
h2.Ss { font-size: 1.05rem; }
@media print { nav { display: none; } body { max-width: none; } }
"""
PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="stylesheet" href="{up}style.css">
</head>
<body>
<nav><a href="{up}index.html">filch {version}</a><a href="{up}docs/README.html">pages</a>
<a href="{up}docs/operating.html">operating</a><a href="{up}man/index.html">reference</a>
<a href="{up}docs/examples/index.html">examples</a></nav>
{body}
</body>
</html>
"""


class Links(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.links, self.places = [], set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if "id" in attrs:
            self.places.add(attrs["id"])
        for name in ("href", "src"):
            if name in attrs:
                self.links.append(attrs[name])


class Site:
    def __init__(self, root, manual, to, version):
        self.root, self.manual, self.to, self.version = root, manual, to, version
        self.done, self.waiting = set(), []

    def run(self, *command):
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def write(self, path, title, body):
        up = "../" * path.count("/")
        self.put(path, PAGE.format(title=html.escape(title), up=up, version=self.version, body=body))

    def put(self, path, text):
        path = os.path.join(self.to, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)

    def place_of(self, path):
        """Where a file of the tree lies in the site."""
        header = re.fullmatch(r"include/filch/(\w+\.h)", path)
        if path == "README.md":
            return "index.html"
        if header:
            name = header[1] if header[1].startswith("filch") else "filch_" + header[1]
            return f"man/{name}.3.html"
        if os.path.isdir(os.path.join(self.root, path)):
            readme = posixpath.join(path, "README.md")
            if os.path.exists(os.path.join(self.root, readme)):
                return self.place_of(readme)
            return posixpath.join(path, "index.html")
        if path.endswith(".md"):
            return path[:-3] + ".html"
        return path if path.endswith(PICTURES) else path + ".html"

    def follow(self, page, link):
        """A link of a page of the tree, as one of the site."""
        if re.match(r"[a-z]+:|#", link):
            return link
        target, _, place = link.partition("#")
        target = posixpath.normpath(posixpath.join(posixpath.dirname(page), target))
        if target.startswith("..") or not os.path.exists(os.path.join(self.root, target)):
            return link
        if os.path.isdir(os.path.join(self.root, target)):
            readme = posixpath.join(target, "README.md")
            target = readme if os.path.exists(os.path.join(self.root, readme)) else target
        if target not in self.done:
            self.done.add(target)
            self.waiting.append(target)
        found = posixpath.relpath(self.place_of(target), posixpath.dirname(self.place_of(page)) or ".")
        return found + ("#" + place if place else "")

    def markdown(self, path):
        body = self.run("cmark-gfm", "-e", "table", "-e", "autolink", "--to", "html", os.path.join(self.root, path))
        body = body.replace("<!-- raw HTML omitted -->\n", "").replace("<!-- raw HTML omitted -->", "")

        def heading(found):
            text = html.unescape(re.sub(r"<[^>]*>", "", found[2]))
            place = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
            return f'<h{found[1]} id="{html.escape(place)}">{found[2]}</h{found[1]}>'

        body = re.sub(r"<h(\d)>(.*?)</h\1>", heading, body)
        body = re.sub(r'(href|src)="([^"]*)"',
            lambda found: f'{found[1]}="{html.escape(self.follow(path, html.unescape(found[2])))}"', body)
        title = re.search(r"<h1[^>]*>(.*?)</h1>", body)
        self.write(self.place_of(path), re.sub(r"<[^>]*>", "", title[1]) if title else path, body)

    def listing(self, path):
        names = sorted(name for name in os.listdir(os.path.join(self.root, path)) if not name.startswith("."))
        names = [name for name in names if not re.search(r"\.pyc$|^__", name)]
        lines = [f'<li><a href="{html.escape(self.follow(path + "/.", name))}">{html.escape(name)}</a></li>' for name in names]
        self.write(self.place_of(path), path, f"<h1>{html.escape(path)}</h1>\n<ul>\n" + "\n".join(lines) + "\n</ul>")

    def source(self, path):
        with open(os.path.join(self.root, path), encoding="utf-8", errors="replace") as file:
            text = html.escape(file.read())
        self.write(self.place_of(path), path, f"<h1>{html.escape(path)}</h1>\n<pre>{text}</pre>")

    def tree(self):
        self.done.add("README.md")
        self.waiting = ["README.md"]
        for link in ("docs/README.md", "docs/examples"):
            self.follow("README.md", link)
        while self.waiting:
            path = self.waiting.pop()
            if re.fullmatch(r"include/filch/\w+\.h", path):
                continue  # its manual page
            if os.path.isdir(os.path.join(self.root, path)):
                self.listing(path)
            elif path.endswith(".md"):
                self.markdown(path)
            elif path.endswith(PICTURES):
                place = os.path.join(self.to, path)
                os.makedirs(os.path.dirname(place), exist_ok=True)
                shutil.copyfile(os.path.join(self.root, path), place)
            else:
                self.source(path)

    def reference(self):
        entries = []
        for name in sorted(os.listdir(self.manual), key=str.lower):
            if not re.search(r"\.[137]$", name):
                continue
            path = os.path.join(self.manual, name)
            page = os.path.basename(os.path.realpath(path))
            stem, section = name.rsplit(".", 1)
            with open(path, encoding="utf-8") as file:
                about = re.search(r"^\.Nd (.*)", file.read(), re.M)[1].replace("\\-", "-")
            entries.append((section, stem, page, about))
            if page == name:
                text = self.run("mandoc", "-T", "html", "-O", "fragment,man=%N.%S.html", path)
                # mandoc links to what has no page here, such as those of the system, too
                text = re.sub(r'<a class="Xr" href="([^"]*)">(.*?)</a>', self.reference_link, text)
                self.write(f"man/{name}.html", f"{stem}({section})", text)
        body = ["<h1>Reference</h1>"]
        for section, title in (("7", "Overview"), ("1", "Tools"), ("3", "Calls, macros, headers")):
            body.append(f"<h2>{title}</h2>\n<table>")
            for found, stem, page, about in entries:
                if found == section and (page == f"{stem}.{section}" or not self.is_constant(page)):
                    body.append(f'<tr><td><a href="{page}.html">{stem}</a></td><td>{html.escape(about)}</td></tr>')
            body.append("</table>")
        constants = [entry for entry in entries if entry[0] == "3" and entry[2] != entry[1] + ".3" and self.is_constant(entry[2])]
        body.append("<h2>Constants</h2>\n<p>")
        body.extend(f'<a href="{page}.html">{stem}</a> ' for _, stem, page, _ in constants)
        self.write("man/index.html", "Reference", "\n".join(body) + "</p>")

    @staticmethod
    def is_constant(page):
        return page.endswith(".h.3")

    def reference_link(self, found):
        target = os.path.join(self.manual, found[1].replace(".html", ""))
        if not os.path.exists(target):
            return found[2]
        return f'<a class="Xr" href="{os.path.basename(os.path.realpath(target))}.html">{found[2]}</a>'

    def check(self):
        """Each link leads to a file, and to a place in it; none leads out but to the web."""
        pages, wrong, count = {}, [], 0
        for directory, _, names in os.walk(self.to):
            for name in names:
                if name.endswith(".html"):
                    path = os.path.relpath(os.path.join(directory, name), self.to)
                    with open(os.path.join(self.to, path), encoding="utf-8") as file:
                        pages[path] = Links(file.read())
        for page, found in pages.items():
            for link in found.links:
                count += 1
                if re.match(r"(https?|mailto):", link):
                    continue
                target, _, place = link.partition("#")
                path = posixpath.normpath(posixpath.join(posixpath.dirname(page), target)) if target else page
                if not os.path.isfile(os.path.join(self.to, path)):
                    wrong.append(f"{page}: {link} leads nowhere")
                elif place and path in pages and place not in pages[path].places:
                    wrong.append(f"{page}: {link}: there is no such place")
        for line in wrong:
            print("site: " + line, file=sys.stderr)
        print(f"site: {len(pages)} pages, {count} links, {len(wrong)} wrong")
        return 1 if wrong or not count else 0

    def all(self):
        shutil.rmtree(self.to, ignore_errors=True)
        self.put("style.css", STYLE.lstrip())
        self.reference()
        self.tree()
        return self.check()


if __name__ == "__main__":
    sys.exit(Site(*sys.argv[1:]).all())
