#!/usr/bin/env python3
"""Looks at every state of the landing page with axe-core, light and dark, and keeps a picture of each.

usage: mkdir FOLDER
       ENLIST_PAGES=FOLDER cargo test --lib every_page_in_every_language
       docs/accessibility.py AXE FOLDER   (AXE: axe.min.js, from `npm pack axe-core`)

Needs chromium and its driver (Debian: apt-get install chromium chromium-driver). Ends with 1 if axe-core finds
anything, or a page is wider than its screen.
"""

import glob
import os
import sys

from browser import Browser

RUN = """
%s
const done = arguments[arguments.length - 1];
axe.run(document, {resultTypes: ["violations", "incomplete"]}).then(
    found => done({violations: found.violations, incomplete: found.incomplete, passes: found.passes.length,
                   wide: document.documentElement.scrollWidth > document.documentElement.clientWidth}),
    error => done({error: String(error)}));
"""


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    with open(sys.argv[1]) as file:
        axe = RUN % file.read()
    folder = os.path.abspath(sys.argv[2])
    browser = Browser()
    bad = 0
    try:
        for page in sorted(glob.glob(os.path.join(folder, "*.html"))):
            for look, width, dark in [("phone", 390, False), ("phone-dark", 390, True), ("wide", 1100, False),
                                      ("wide-dark", 1100, True)]:
                found = browser.picture(f"file://{page}", f"{page[:-5]}-{look}.png", width, 844, dark=dark, run=axe,
                                        whole=True)
                if "error" in found:
                    sys.exit(found["error"])
                for kind in ["violations", "incomplete"]:
                    for fault in found[kind]:
                        bad += 1
                        print(f"  {kind}: {fault['impact']} {fault['id']}: {fault['help']}")
                        for node in fault["nodes"]:
                            print(f"    {node['html'][:150]}")
                if found["wide"]:
                    bad += 1
                    print("  wider than the screen")
    finally:
        browser.stop()
    print(f"{bad} findings")
    sys.exit(bad > 0)


main()
