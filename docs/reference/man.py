#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Manual pages from what is written once: the contracts in the headers, the tools' own help.

Section 3 has a page for each comment of a header that stands before functions or macros, under the
name of the first of them; the others are links to it. What a header has besides, its opening
comment, types and constants, is the page NAME.h. Section 1 has a page for each src/tools/filch-*.c:
its opening comment, and what its usage() says of options and commands. Section 7 is filch.7.in with
the lists of headers and tools, and the table of variables in docs/tuning.md. A new header or tool
needs nothing but to be there.

The pages are mdoc(7), which man(1) renders, and mandoc(1) also as HTML with links.

usage: man.py ROOT VERSION.H OUTPUT_DIRECTORY VERSION
"""
import os
import re
import sys
import time

LABEL = re.compile(r"(Callers|Progress|Ordering|Lifetime|Cost|Returns|Result|Status)\b[^:]{0,30}:\s")
ERROR = re.compile(r"(-E[A-Z0-9]+(?:, -E[A-Z0-9]+)*)(?:\s{2,}(\S.*))?$")


# Reading a header


def without_cplusplus(lines):
    """What a C compiler sees where C and C++ differ, and no code of debug builds."""
    kept, stack = [], []
    for line in lines:
        directive = re.match(r"#\s*(if|ifdef|ifndef|else|elif|endif)\b(.*)", line)
        if not directive:
            if all(stack):
                kept.append(line)
            continue
        word, rest = directive.groups()
        if word.startswith("if"):
            stack.append(not ("__cplusplus" in rest or "FILCH_DEBUG" in rest))
        elif word == "endif":
            stack.pop()
        else:
            stack[-1] = "__cplusplus" not in rest
    return kept


def items_of(lines):
    """(kind, text) in their order: comment, define, code, blank."""
    items, at = [], 0
    while at < len(lines):
        first = at
        if not lines[at].strip():
            items.append(("blank", ""))
            at += 1
            continue
        if lines[at].startswith("/*"):
            while "*/" not in lines[at]:
                at += 1
            kind = "comment"
        elif lines[at].startswith("#"):
            while lines[at].endswith("\\"):
                at += 1
            kind = "define" if lines[first].startswith("#define") else "directive"
        else:
            depth = 0
            while True:
                bare = re.sub(r"/\*.*?\*/", "", lines[at])
                depth += bare.count("{") + bare.count("(") - bare.count("}") - bare.count(")")
                if depth <= 0 and (bare.rstrip().endswith((";", "}")) or "EXTERN_C" in bare):
                    break
                at += 1
            kind = "code"
        at += 1
        items.append((kind, "\n".join(lines[first:at])))
    return items


def comment_text(comment):
    """Its lines without the frame of stars."""
    body = re.sub(r"^/\*+|\*/$", "", comment.strip())
    lines = [re.sub(r"^\s*\* ?", "", line).rstrip() for line in body.split("\n")]
    if lines and "\n" not in comment:
        lines = [lines[0].strip()]
    while lines and not lines[0]:
        lines.pop(0)
    while lines and not lines[-1]:
        lines.pop()
    return lines


class Unit:
    """A comment and what stands below it up to the next blank line or comment."""

    def __init__(self, comment):
        self.comment = comment
        self.text = comment_text(comment)
        self.source = [comment]
        self.functions = []  # (name, return type, parameters)
        self.macros = []  # (name, parameters or None)

    def add(self, kind, text):
        self.source.append(text)
        if kind == "define":
            name, arguments = re.match(r"#define (\w+)(\([^)]*\))?", text).groups()
            self.macros.append((name, arguments and split_arguments(arguments[1:-1])))
        elif text.startswith("FILCH_API"):
            flat = re.sub(r"\s+", " ", text.replace("FILCH_API ", "").replace(" FILCH_MUST_CHECK", ""))
            found = re.match(r"(.*?)(\w+)\((.*)\);$", flat)
            self.functions.append((found[2], found[1].strip(), split_arguments(found[3])))


class Header:
    def __init__(self, path):
        self.name = os.path.basename(path)
        with open(path, encoding="utf-8") as file:
            lines = file.read().split("\n")
        items = items_of(without_cplusplus(lines))
        comments = [text for kind, text in items if kind == "comment"]
        self.opening = comment_text(comments[1])  # the first is the licence
        self.words = set(re.findall(r"FILCH_\w+", "\n".join(re.findall(r"/\*.*?\*/", "\n".join(lines), re.S))))
        self.units, unit, opened = [], None, False
        for kind, text in items:
            if kind == "comment":
                opened = opened or text == comments[1]
                if text not in comments[:2]:
                    # a comment right below a constant goes on with the same list
                    if unit and unit.macros and not unit.functions and not self.calls(unit):
                        unit.source.append(text)
                    else:
                        unit = Unit(text)
                        self.units.append(unit)
            elif kind in ("define", "code") and opened:
                if unit is None and kind == "define" and not re.search(r"_H$", text):
                    unit = Unit("/* */")
                    self.units.append(unit)
                if unit and "EXTERN_C" not in text:
                    unit.add(kind, text)
            elif kind == "blank" and unit and unit.source != [unit.comment]:
                unit = None
        for unit in self.units:
            unit.macros = [macro for macro in unit.macros if self.is_public(unit, macro)]

    def calls(self, unit):
        return [macro for macro in unit.macros if macro[1] is not None and macro[0] in self.words]

    def is_public(self, unit, macro):
        """Helpers of macros are named in no comment."""
        return macro[0] in self.words or (macro[1] is None and not self.calls(unit))


def split_arguments(text):
    """At the commas outside of parentheses."""
    parts, depth, part = [], 0, ""
    for letter in text:
        depth += (letter in "([") - (letter in ")]")
        if letter == "," and not depth:
            parts.append(part.strip())
            part = ""
        else:
            part += letter
    return [one for one in parts + [part.strip()] if one]


def form_of(unit, macro):
    """The parameters as the comment shows them, which says more than three dots."""
    text = re.sub(r"\s+", " ", " ".join(unit.text))
    forms = re.findall(macro[0] + r"\(((?:[^()]|\([^()]*\))*)\)(:?)", text)
    forms = [form for form in sorted(forms, key=lambda form: form[1] != ":") if form[0] != "..."]
    return split_arguments(forms[0][0]) if forms else macro[1]


# Writing mdoc


def code(line):
    """A line of a program."""
    line = line.expandtabs(8).replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq")
    line = line.replace("`", "\\(ga").replace("^", "\\(ha").replace("~", "\\(ti")
    return "\\&" + line if line.startswith(".") else line


def argument(text):
    """One of a macro's."""
    text = text.replace("\\", "\\e").replace('"', "\\(dq")
    return f'"{text}"' if " " in text or text == "" else text


def escape(word):
    word = word.replace("\\", "\\e").replace("`", "").replace("^", "\\(ha").replace("~", "\\(ti")
    word = re.sub(r"(?<![\w)])-(?=\S)|-(?=-)", r"\\-", word)
    word = re.sub(r"@(\w+)", r"\\fI\1\\fR", word)
    return "\\&" + word if word.startswith((".", "'")) else word


class Writer:
    def __init__(self, pages):
        self.pages = pages  # name -> page, for links
        self.lines = []

    def macro(self, *words):
        self.lines.append("." + " ".join(words))

    def block(self, lines):
        self.macro("Bd", "-literal", "-offset", "indent")
        self.lines.extend(code(line) for line in lines)
        self.macro("Ed")

    def prose(self, text, here=""):
        """One paragraph: a sentence begins a line, a name with a page of its own is a link."""
        line = []

        def flush():
            if line:
                self.lines.append(" ".join(line))
                line.clear()

        def call(found, parts):
            """A macro, with the parentheses before it and the punctuation behind."""
            flush()
            behind = ["Ns", found[3]] if found[3].startswith("'s") else found[3]
            self.macro(*(["Pf", found[1]] if found[1] else []), *parts, *behind)

        for word in text.split():
            found = re.match(r"^([(]*)(filch_\w+(?=\(\))|FILCH_[A-Z_]*[A-Z])(?:\(\))?([.,;:)]*|'s[.,;:]?)$", word)
            name = found and found[2]
            if name and name in self.pages and self.pages[name] != here:
                is_call = self.pages[name] == name or name.startswith("filch_")
                call(found, ["Xr", name, "3"] if is_call else ["Dv", name])
                continue
            found = re.match(r"^([(]*)([a-z_0-9]+)\(\)([.,;:)]*|'s[.,;:]?)$", word)
            if found:
                call(found, ["Fn", found[2]])
                continue
            if sum(len(one) + 1 for one in line) + len(word) > 76:
                flush()
            line.append(escape(word))
            if re.search(r"[.?!]\)?$", word) and not word.endswith("..."):
                flush()
        flush()

    def texts(self, lines, here=""):
        """Paragraphs, lists, tables of words and pieces of code, as comments have them."""
        first = True
        for kind, body in chunks(lines):
            if not first and kind == "text":
                self.macro("Pp")
            first = False
            if kind == "text":
                self.prose(body, here)
            elif kind == "code":
                self.block(body)
            elif kind == "items":
                self.macro("Bl", "-bullet", "-compact")
                for item in body:
                    self.macro("It")
                    self.prose(item, here)
                self.macro("El")
            else:
                self.macro("Bl", "-tag", "-width", "Ds")
                for tag, text in body:
                    self.macro("It", *(["Er", escape(tag)] if tag.startswith("-E") else [escape(tag)]))
                    self.prose(text, here)
                self.macro("El")


def chunks(lines):
    """(kind, body): text, code, items, tags."""
    found, at = [], 0

    def indent(line):
        return len(line) - len(line.lstrip())

    while at < len(lines):
        if not lines[at].strip():
            at += 1
            continue
        first = lines[at]
        start = at
        deep = indent(first)
        tagged = ERROR.match(first) if deep == 0 else re.match(r"\s+([\w.]+)\s{2,}(\S.*)", first)
        if deep >= 4 and not first.lstrip().startswith("- "):
            while at < len(lines) and (indent(lines[at]) >= 4 or not lines[at].strip()):
                at += 1
            body = lines[start:at]
            while not body[-1].strip():
                body.pop()
            found.append(("code", [line[4:] for line in body]))
        elif tagged or deep:
            kind = "tags" if tagged else "items"
            body = []
            while at < len(lines):
                line = lines[at]
                next_tag = ERROR.match(line) if deep == 0 else re.match(r"\s+([\w.]+)\s{2,}(\S.*)", line)
                if indent(line) == deep and line.strip() and (kind == "items" or next_tag):
                    text = re.sub(r"^- ", "", line.strip())
                    body.append([next_tag[1], next_tag[2] or ""] if kind == "tags" else text)
                elif indent(line) > deep and line.strip():
                    if kind == "tags":
                        body[-1][1] += " " + line.strip()
                    else:
                        body[-1] += " " + line.strip()
                elif line.strip() or at + 1 >= len(lines) or indent(lines[at + 1]) < max(deep, 1):
                    break
                at += 1
            found.append((kind, body))
        elif first.startswith("- "):
            body = []
            while at < len(lines) and (lines[at].startswith("- ") or indent(lines[at]) >= 2):
                if lines[at].startswith("- "):
                    body.append(lines[at][2:])
                else:
                    body[-1] += " " + lines[at].strip()
                at += 1
            found.append(("items", body))
        else:
            while at < len(lines) and lines[at].strip() and not (at > start and re.match(r"- |\s{4}", lines[at])) \
                    and not (at > start and ERROR.match(lines[at])):
                at += 1
            found.append(("text", " ".join(lines[start:at])))
    return found


def contract(lines):
    """(text, {label: lines}): the labelled parts of a comment, and the rest."""
    text, parts, label = [], {}, None
    for line in lines:
        found = LABEL.match(line)
        if found:
            label = line.split(":")[0]
            rest = line[line.index(":") + 1:].strip()
            parts[label] = [rest]
        elif label and line.startswith("    "):
            parts[label].append(line)
        else:
            label = None if line.strip() else label
            (parts[label] if label and not line.strip() else text).append(line)
    for label, body in parts.items():
        rest = body[1:]
        deep = min((len(line) - len(line.lstrip()) for line in rest if line.strip()), default=0)
        parts[label] = [body[0]] + [line[deep:] for line in rest]
        while not parts[label][-1].strip():
            parts[label].pop()
    return text, parts


def first_sentence(lines, whole=False):
    """What a page is about, in one line: up to a colon, if enough stands before it."""
    text = next((body for kind, body in chunks(lines) if kind == "text"), "")
    text = re.sub(r"^FILCH_\w+\((?:[^()]|\([^()]*\))*\)[:;]?\s*", "", text)
    text = re.split(r"(?<=[\w)])[.;](?:\s|$)", text + " ")[0].strip().rstrip(":")
    head = re.split(r":\s", text)[0]
    text = head if not whole and len(head.split()) > 3 else text
    text = re.sub(r"[@`]", "", text).replace("\\", "")
    return text[:1].lower() + text[1:] if re.match(r"[A-Z][a-z]|A\s", text) else text


class Manual:
    def __init__(self, root, version_header, to, version):
        self.root, self.to, self.version = root, to, version
        self.date = time.strftime("%B %d, %Y", time.gmtime(int(os.environ.get("SOURCE_DATE_EPOCH", time.time()))))
        self.date = re.sub(r" 0", " ", self.date)
        directory = os.path.join(root, "include", "filch")
        paths = [os.path.join(directory, name) for name in os.listdir(directory) if name.endswith(".h")]
        self.headers = [Header(path) for path in sorted(paths + [version_header])]
        self.pages = {}
        for header in self.headers:
            for unit in header.units:
                calls = [one[0] for one in unit.functions] + [one[0] for one in header.calls(unit)]
                for name in calls + [one[0] for one in unit.macros]:
                    self.pages[name] = calls[0] if calls else page_of(header)
            self.pages[page_of(header)] = page_of(header)

    def write(self, name, lines):
        with open(os.path.join(self.to, name), "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")

    def begin(self, name, section):
        out = Writer(self.pages)
        out.lines.append('.\\" SPDX-License-Identifier: Apache-2.0')
        out.lines.append('.\\" made by docs/reference/man.py')
        out.macro("Dd", self.date)
        out.macro("Dt", name.upper(), section)
        out.macro("Os", "filch", self.version)
        return out

    def unit_page(self, header, unit):
        calls = unit.functions + [one for one in header.calls(unit) if one not in unit.functions]
        name = calls[0][0]
        text, parts = contract(unit.text)
        if not parts:
            parts = contract(header.opening)[1]
        out = self.begin(name, "3")
        out.macro("Sh", "NAME")
        for call in calls:
            out.macro("Nm", call[0], *([","] if call is not calls[-1] else []))
        out.macro("Nd", first_sentence(text))
        out.macro("Sh", "SYNOPSIS")
        out.macro("In", "filch/" + header.name)
        for one in unit.functions:
            out.macro("Ft", argument(one[1]))
            out.macro("Fo", one[0])
            for parameter in one[2]:
                out.macro("Fa", argument(parameter))
            out.macro("Fc")
        for one in header.calls(unit):
            out.macro("Fo", one[0])
            for parameter in form_of(unit, one):
                out.macro("Fa", argument(parameter))
            out.macro("Fc")
        out.macro("Sh", "DESCRIPTION")
        out.texts(text, name)
        said = [label for label in parts if label != "Returns"]
        if said:
            out.macro("Bl", "-tag", "-width", "Lifetime")
            for label in said:
                out.macro("It", label)
                out.texts(parts[label], name)
            out.macro("El")
        self.returns(out, parts.get("Returns", []), name)
        self.see_also(out, [one[0] for one in calls], unit.text, page_of(header))
        self.write(name + ".3", out.lines)
        return [one[0] for one in calls[1:]]

    def returns(self, out, lines, name):
        if not lines:
            return
        found = chunks(lines)
        out.macro("Sh", "RETURN VALUES")
        errors = next((at for at, (kind, _) in enumerate(found) if kind == "tags"), len(found))
        for at, (kind, body) in enumerate(found[:errors]):
            if at:
                out.macro("Pp")
            body = re.sub(r",? or:$", ", or a negative errno.", re.sub(r"\s*Errors:$", "", body))
            out.prose(body[:1].upper() + body[1:], name)
        if errors == 0:
            out.prose("0, or a negative errno.")
        if errors < len(found):
            out.macro("Sh", "ERRORS")
            for kind, body in found[errors:]:
                if kind == "tags":
                    out.macro("Bl", "-tag", "-width", "\\-ESHUTDOWN")
                    for tag, text in body:
                        out.macro("It", "Er", escape(tag).replace(",", " ,").replace(" -", " \\-"))
                        out.prose(text, name)
                    out.macro("El")
                else:
                    out.macro("Pp")
                    out.prose(body if isinstance(body, str) else " ".join(body), name)

    def see_also(self, out, own, text, header_page):
        named = {self.pages[name] for name in re.findall(r"filch_\w+(?=\(\))|FILCH_[A-Z_]+\b", "\n".join(text))
            if name in self.pages}
        names = sorted((named | {header_page}) - set(own), key=lambda name: name.lower())
        out.macro("Sh", "SEE ALSO")
        for name in names:
            out.macro("Xr", name, "3", ",")
        out.macro("Xr", "filch", "7")

    def header_page(self, header):
        name = page_of(header)
        out = self.begin(name, "3")
        out.macro("Sh", "NAME")
        out.macro("Nm", name)
        out.macro("Nd", first_sentence(header.opening, True))
        out.macro("Sh", "SYNOPSIS")
        out.macro("In", "filch/" + header.name)
        out.macro("Sh", "DESCRIPTION")
        text, parts = contract(header.opening)
        out.texts(text, name)
        if parts:
            out.macro("Bl", "-tag", "-width", "Lifetime")
            for label, lines in parts.items():
                out.macro("It", label)
                out.texts(lines, name)
            out.macro("El")
        calls = [(header.calls(unit) + unit.functions, unit) for unit in header.units]
        calls = [(sorted(one[0] for one in found), unit) for found, unit in calls if found]
        if calls:
            out.macro("Ss", "Calls")
            out.macro("Bl", "-tag", "-width", "Ds")
            for names, unit in calls:
                out.macro("It", "Xr", " , ".join(f"{one} 3" for one in names).replace(" , ", " , Xr "))
                out.prose(first_sentence(contract(unit.text)[0]) + ".", name)
            out.macro("El")
        types = [unit for unit in header.units if not unit.functions and not header.calls(unit)]
        types = [unit for unit in types if any(line.strip() != "/* */" for line in unit.source)]
        if types:
            out.macro("Ss", "Types and constants")
            for unit in types:
                if unit.source == [unit.comment]:
                    out.macro("Pp")
                    out.texts(unit.text, name)
                else:
                    out.block("\n".join(one for one in unit.source if one != "/* */").split("\n"))
        out.macro("Sh", "SEE ALSO")
        out.macro("Xr", "filch", "7")
        self.write(name + ".3", out.lines)

    def tool(self, path):
        name = os.path.basename(path)[:-2]
        with open(path, encoding="utf-8") as file:
            source = file.read()
        opening = comment_text(re.findall(r"/\*.*?\*/", source, re.S)[1])
        opening[0] = re.sub(r"^" + name + r":\s*", "", opening[0])
        head, status = [], []
        for line in opening:
            (status if status or line.startswith("Exit status:") else head).append(line)
        if "" in status:
            status, more = status[: status.index("")], status[status.index(""):]
            head += more
        usage = re.search(r"static void usage\(.*?\n}", source, re.S)[0]
        usage = "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', usage.split("fprintf")[0]))
        said, options, more = usage_of(usage.replace("\\n", "\n").replace('\\"', '"'))
        out = self.begin(name, "1")
        out.macro("Sh", "NAME")
        out.macro("Nm", name)
        out.macro("Nd", first_sentence(head))
        out.macro("Sh", "SYNOPSIS")
        for form in said:
            out.macro("Nm")
            words = [word for word in form.split()[1:]]
            out.lines.append(" ".join(escape(word) for word in words) or "\\&")
        out.macro("Sh", "DESCRIPTION")
        head[0] = head[0][:1].upper() + head[0][1:]
        out.texts(head)
        if options:
            out.macro("Pp")
            out.prose("Options and commands:" if any(option[0] != "-" for option, _ in options) else "The options:")
            out.macro("Bl", "-tag", "-width", "Ds")
            for option, text in options:
                out.macro("It", escape(option))
                out.prose(text[:1].upper() + text[1:] + ("." if text and not text.endswith(".") else ""))
            out.macro("El")
        if more:
            out.macro("Pp")
            out.prose(" ".join(more))
        out.macro("Sh", "EXIT STATUS")
        out.prose(re.sub(r"^Exit status:\s*", "", " ".join(status)))
        out.macro("Sh", "SEE ALSO")
        for other in sorted(self.tools()):
            if other != path:
                out.macro("Xr", os.path.basename(other)[:-2], "1", ",")
        out.macro("Xr", "filch", "7")
        self.write(name + ".1", out.lines)

    def tools(self):
        directory = os.path.join(self.root, "src", "tools")
        return [os.path.join(directory, name) for name in os.listdir(directory) if re.match(r"filch-\w+\.c$", name)]

    def overview(self):
        out = Writer(self.pages)
        out.macro("Bl", "-tag", "-width", "Ds")
        for header in self.headers:
            if header.name != "filch.h":
                out.macro("It", "Xr", page_of(header), "3")
                out.prose(first_sentence(header.opening, True) + ".")
        out.macro("El")
        tools = Writer(self.pages)
        tools.macro("Bl", "-tag", "-width", "Ds")
        for path in sorted(self.tools()):
            with open(path, encoding="utf-8") as file:
                opening = comment_text(re.findall(r"/\*.*?\*/", file.read(), re.S)[1])
            name = os.path.basename(path)[:-2]
            opening[0] = re.sub(r"^" + name + r":\s*", "", opening[0])
            tools.macro("It", "Xr", name, "1")
            tools.prose(first_sentence(opening) + ".")
        tools.macro("El")
        # the table of docs/tuning.md
        variables = Writer(self.pages)
        variables.macro("Bl", "-tag", "-width", "Ds")
        with open(os.path.join(self.root, "docs", "tuning.md"), encoding="utf-8") as file:
            for names, meaning in re.findall(r"^\| (`FILCH_[A-Z_]+`.*?) \| (.*) \|$", file.read(), re.M):
                names = re.findall(r"`(FILCH_[A-Z_]+)`", names)
                variables.macro("It", *" , ".join("Ev " + name for name in names).split())
                meaning = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", meaning)
                variables.prose(meaning[:1].upper() + meaning[1:] + ".")
        variables.macro("El")
        with open(os.path.join(self.root, "docs", "reference", "filch.7.in"), encoding="utf-8") as file:
            text = file.read().replace("@ENVIRONMENT@", "\n".join(variables.lines))
        text = text.replace("@DATE@", self.date).replace("@VERSION@", self.version)
        text = text.replace("@HEADERS@", "\n".join(out.lines)).replace("@TOOLS@", "\n".join(tools.lines))
        self.write("filch.7", text.rstrip("\n").split("\n"))

    def all(self):
        os.makedirs(self.to, exist_ok=True)
        for name in os.listdir(self.to):
            if re.search(r"\.[137]$", name):
                os.remove(os.path.join(self.to, name))
        for header in self.headers:
            for unit in header.units:
                if unit.functions or header.calls(unit):
                    self.unit_page(header, unit)
            self.header_page(header)
        for name, page in self.pages.items():
            if name != page:
                os.symlink(page + ".3", os.path.join(self.to, name + ".3"))
        for path in self.tools():
            self.tool(path)
        self.overview()


def page_of(header):
    return header.name if header.name.startswith("filch") else "filch_" + header.name


def usage_of(text):
    """The forms of a command, its options with their meaning, and what stands below them."""
    forms, options, more = [], [], []
    for line in text.split("\n"):
        form = re.match(r"(?:usage: |       )(filch-.*)", line)
        option = re.match(r"  (-\S.*?|[a-z]+(?=\s{2}))(?:\s{2,}(.*))?$", line)
        if form:
            forms.append(form[1])
        elif option:
            options.append([option[1], option[2] or ""])
        elif options and re.match(r"\s{10,}\S", line):
            options[-1][1] += " " + line.strip()
        elif options and line and not line.startswith(" "):
            more.append(line)
    return forms, options, more


if __name__ == "__main__":
    Manual(*sys.argv[1:]).all()
